package letter

import (
	"bytes"
	"slices"
	"time"

	"codeberg.org/go-pdf/fpdf"
)

// pdf draws a letter. The same letter is the same bytes: it has no time of making and no random id.
func (s *Sender) pdf(sh sheet, language string) ([]byte, error) {
	p := fpdf.New("P", "mm", "A4", "")
	p.SetCatalogSort(true)
	p.SetCreationDate(time.Unix(0, 0).UTC())
	p.SetModificationDate(time.Unix(0, 0).UTC())
	p.SetProducer("Duly", false)
	p.SetAutoPageBreak(false, 0)
	if language != "" {
		p.SetLang(language)
	}
	for i, f := range s.faces {
		if sh.uses(i) {
			p.AddUTF8FontFromBytes(f.name, "", f.file)
		}
	}
	for i, page := range sh.pages {
		p.AddPage()
		if i == 0 {
			p.SetLineWidth(0.1)
			for _, r := range sh.rules {
				p.Line(r[0], r[1], r[2], r[3])
			}
		}
		for _, r := range page {
			p.SetFont(s.faces[r.face].name, "", r.size)
			p.Text(r.x, r.y, r.text)
		}
	}
	var out bytes.Buffer
	err := p.Output(&out)
	return out.Bytes(), err
}

// uses reports whether a letter has text of a font.
func (sh *sheet) uses(face int) bool {
	for _, page := range sh.pages {
		if slices.ContainsFunc(page, func(r run) bool { return r.face == face }) {
			return true
		}
	}
	return false
}
