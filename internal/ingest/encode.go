package ingest

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
	xunicode "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	duly "github.com/dulyhq/duly"
)

const encodingUTF8 = "utf-8"

// encodings lists what text files may be written in, beside UTF-8.
var encodings = []struct {
	name string
	enc  encoding.Encoding
}{
	{"gb18030", simplifiedchinese.GB18030},
	{"gbk", simplifiedchinese.GBK},
	{"utf-16le", xunicode.UTF16(xunicode.LittleEndian, xunicode.UseBOM)},
	{"utf-16be", xunicode.UTF16(xunicode.BigEndian, xunicode.UseBOM)},
	{"windows-1252", charmap.Windows1252},
}

func encodingNames() string {
	names := []string{encodingUTF8}
	for _, e := range encodings {
		names = append(names, e.name)
	}
	return strings.Join(names, ", ")
}

// knownEncoding returns the first of the names that is given, in lower case.
func knownEncoding(names ...string) (string, error) {
	for _, n := range names {
		n = strings.ToLower(n)
		switch {
		case n == "":
			continue
		case n == encodingUTF8 || n == "utf8":
			return encodingUTF8, nil
		case findEncoding(n) != nil:
			return n, nil
		}
		return "", duly.Errorf(duly.Usage, "unknown encoding").WithHint("one of %s", encodingNames())
	}
	return encodingUTF8, nil
}

func findEncoding(name string) encoding.Encoding {
	i := slices.IndexFunc(encodings, func(e struct {
		name string
		enc  encoding.Encoding
	}) bool {
		return e.name == name
	})
	if i < 0 {
		return nil
	}
	return encodings[i].enc
}

// decode returns the text of src as UTF-8. UTF-8 itself is passed on as it is and checked line by line.
func (r *reading) decode(src io.Reader) io.Reader {
	enc := findEncoding(r.encoding)
	if enc == nil {
		r.undecoded = true
		return src
	}
	return transform.NewReader(src, enc.NewDecoder())
}

var (
	byteOrderMark = []byte("\uFEFF")
	replacement   = []byte("\uFFFD")
)

// checkText reports a line that is not text of the encoding in force. Column is that of the table, if known.
func (r *reading) checkText(line []byte, no int) error {
	if !r.undecoded {
		// A decoder writes U+FFFD for what its encoding does not have.
		if i := bytes.Index(line, replacement); i >= 0 {
			return r.fatal(no, r.columnAt(line, i), "this is not %s text", r.encoding).WithHint("pass --encoding, one of %s", encodingNames())
		}
		return nil
	}
	if utf8.Valid(line) {
		if i := bytes.IndexByte(line, 0); i >= 0 {
			return r.guess(line, no, i)
		}
		return nil
	}
	at := 0
	for at < len(line) {
		c, n := utf8.DecodeRune(line[at:])
		if c == utf8.RuneError && n <= 1 {
			break
		}
		at += n
	}
	return r.guess(line, no, at)
}

// guess says what encoding a line that is not UTF-8 looks like.
func (r *reading) guess(line []byte, no, at int) error {
	looks := ""
	switch {
	case bytes.HasPrefix(line, []byte{0xff, 0xfe}):
		looks = "utf-16le"
	case bytes.HasPrefix(line, []byte{0xfe, 0xff}):
		looks = "utf-16be"
	case bytes.IndexByte(line, 0) >= 0:
		if zeros := zerosAtOdd(line); zeros > 0 {
			looks = "utf-16le"
		} else if zeros < 0 {
			looks = "utf-16be"
		}
	case looksGBK(line):
		return r.fatal(no, r.columnAt(line, at), "this is not UTF-8; it looks like GBK").WithHint("pass --encoding gb18030")
	}
	if looks != "" {
		return r.fatal(no, 0, "this is not UTF-8; it looks like %s", looks).WithHint("pass --encoding %s", looks)
	}
	return r.fatal(no, r.columnAt(line, at), "this is not UTF-8").WithHint("pass --encoding, one of %s", encodingNames())
}

// zerosAtOdd is above nothing if zero bytes stand at odd places more than at even ones.
func zerosAtOdd(line []byte) int {
	n := 0
	for i, b := range line {
		if b == 0 {
			n += 2*(i&1) - 1
		}
	}
	return n
}

// looksGBK reports whether the line reads well as GB18030: everything decodes, and most of what is not ASCII are Chinese
// characters or their punctuation.
func looksGBK(line []byte) bool {
	text, err := simplifiedchinese.GB18030.NewDecoder().Bytes(line)
	if err != nil || bytes.Contains(text, replacement) {
		return false
	}
	han, other := 0, 0
	for _, c := range string(text) {
		switch {
		case c < utf8.RuneSelf:
		case unicode.Is(unicode.Han, c), c >= 0x3000 && c <= 0x303f, c >= 0xff00 && c <= 0xffef:
			han++
		default:
			other++
		}
	}
	return han > 0 && han >= 4*other
}

// columnAt counts which column of the table byte i of a line lies in; quotes are not looked at, for the text is not
// what it seems.
func (r *reading) columnAt(line []byte, i int) int {
	if r.m.Format != CSV {
		return 0
	}
	return 1 + bytes.Count(line[:min(i, len(line))], []byte{r.m.delimiter})
}

func isCorrupt(err error) bool {
	_, ok := errors.AsType[flate.CorruptInputError](err)
	return ok
}
