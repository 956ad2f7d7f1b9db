package generic

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// node is a part of a JSON body: what comes out is built as a tree, so no value can add to it.
type node interface {
	write(v *values) (any, string)
}

type (
	object map[string]node
	array  []node
	leaf   struct{ v any }
	words  struct{ t text }
)

func (o object) write(v *values) (any, string) {
	out := make(map[string]any, len(o))
	for _, key := range slices.Sorted(maps.Keys(o)) {
		got, missing := o[key].write(v)
		if missing != "" {
			return nil, missing
		}
		out[key] = got
	}
	return out, ""
}

func (a array) write(v *values) (any, string) {
	out := make([]any, len(a))
	for i, n := range a {
		got, missing := n.write(v)
		if missing != "" {
			return nil, missing
		}
		out[i] = got
	}
	return out, ""
}

func (l leaf) write(*values) (any, string) { return l.v, "" }

func (w words) write(v *values) (any, string) {
	s, missing := w.t.write(v)
	if missing == "" && w.t.number() {
		return json.Number(s), ""
	}
	return s, missing
}

// node reads a part of the configured tree.
func (r reader) node(key string, v any, depth int) node {
	if depth > depthMax {
		r.p.Add(key, "deeper than "+strconv.Itoa(depthMax), "write the body that the provider documents")
		return leaf{}
	}
	switch v := v.(type) {
	case map[string]any:
		out := object{}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			out[name] = r.node(key+"."+name, v[name], depth+1)
		}
		return out
	case []any:
		out := make(array, len(v))
		for i := range v {
			out[i] = r.node(key+"["+strconv.Itoa(i)+"]", v[i], depth+1)
		}
		return out
	case string:
		return words{r.text(key, v)}
	case nil, bool, int, int64, uint64, float64:
		return leaf{v}
	}
	r.p.Add(key, fmt.Sprintf("a %T is nothing that JSON has", v), "write texts, numbers, true, false, lists and keys")
	return leaf{}
}
