package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	duly "github.com/dulyhq/duly"
)

// Facts that wait to be put may be more than fit into memory. Packed, they are the columns of their rows, each after its kind
// and size, with the digest that was made of them on the way. The form is for this process alone.

// Packer packs facts.
type Packer struct{ d digester }

const (
	packedNumber = 'i'
	packedText   = 's'
)

// Append appends a fact to b. Its owner must be known, and nothing about it may change after that.
func (p *Packer) Append(b []byte, f duly.Fact) ([]byte, error) {
	rank := tableRank(f.FactKind())
	if rank < 0 {
		return b, fmt.Errorf("no table for facts of kind %s", f.FactKind())
	}
	digest := p.d.fact(factTables[rank], f)
	b = binary.BigEndian.AppendUint64(append(b, byte(rank)), uint64(digest))
	for _, c := range p.d.row {
		switch v := c.(type) {
		case int64:
			b = binary.AppendVarint(append(b, packedNumber), v)
		case string:
			b = append(binary.AppendUvarint(append(b, packedText), uint64(len(v))), v...)
		default:
			return b, fmt.Errorf("column of type %T", c)
		}
	}
	return binary.AppendVarint(append(b, packedNumber), f.FactVersion()), nil
}

// Unpacker makes a parcel of packed facts.
type Unpacker struct {
	p       parcelMaker
	columns packedColumns
	rows    [numTables]row
	zones   map[string][]duly.Zone
}

var errPacked = errors.New("packed facts are damaged")

// Fact takes the fact at the beginning of b, and returns the rest.
func (u *Unpacker) Fact(b []byte) ([]byte, error) {
	if len(b) < 9 || int(b[0]) >= numTables {
		return nil, errPacked
	}
	t, r := factTables[b[0]], &u.rows[b[0]]
	digest := int64(binary.BigEndian.Uint64(b[1:]))
	u.columns.rest = b[9:]
	r.columns, r.next = &u.columns, 0
	var f duly.Fact
	if t == &borrowerTable {
		if u.zones == nil {
			u.zones = map[string][]duly.Zone{}
		}
		who := scanBorrower(r, u.zones)
		f = &who
	} else {
		f = t.scan(r)
	}
	if r.err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errPacked, t.kind, r.err)
	}
	u.p.add(int(b[0]), f, digest)
	return u.columns.rest, nil
}

// Facts returns the facts taken, in their order.
func (u *Unpacker) Facts() []duly.Fact { return u.p.facts }

// Parcel returns their parcel. Those without an owner are in none.
func (u *Unpacker) Parcel() *Parcel { return u.p.parcel() }

// packedColumns are the columns of a packed fact, each read once and from left to right.
type packedColumns struct{ rest []byte }

func (p *packedColumns) number(int) (int64, bool) {
	if len(p.rest) == 0 || p.rest[0] != packedNumber {
		return 0, false
	}
	v, n := binary.Varint(p.rest[1:])
	if n <= 0 {
		return 0, false
	}
	p.rest = p.rest[1+n:]
	return v, true
}

func (p *packedColumns) bytes(int) ([]byte, bool) {
	if len(p.rest) == 0 || p.rest[0] != packedText {
		return nil, false
	}
	size, n := binary.Uvarint(p.rest[1:])
	if n <= 0 || size > uint64(len(p.rest)-1-n) {
		return nil, false
	}
	text := p.rest[1+n:][:size]
	p.rest = p.rest[1+n+int(size):]
	return text, true
}

func (p *packedColumns) kind(int) string { return "something else" }

// asFact makes of a scan of rows one of facts: their content and version.
func asFact[T any, F interface {
	*T
	duly.Fact
}](scan func(*row) T) func(*row) duly.Fact {
	return func(r *row) duly.Fact {
		v := scan(r)
		return F(&v)
	}
}
