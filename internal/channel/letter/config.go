package letter

import (
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
)

// Config is where letters are put for a print house, and how they look. Lengths are in millimetres, on A4.
type Config struct {
	Folder      string   `yaml:"folder"`       // what the print house reads; it must exist, so that a share that is not mounted is not written beside
	Fonts       []string `yaml:"fonts"`        // TrueType files (.ttf), Latin first; Debian's DejaVu Sans and Droid Sans Fallback where none are given
	Header      []string `yaml:"header"`       // the lender's name, address and numbers, beside the window; the first line is larger
	Sender      string   `yaml:"sender"`       // one small line above the address, for letters that come back
	Window      Window   `yaml:"window"`       // din5008_b where it is not given
	WindowMM    *Box     `yaml:"window_mm"`    // of any other envelope, as measured from the sheet's upper left corner
	PostalClass string   `yaml:"postal_class"` // told to the print house; standard where it is not given
	PagesMax    int      `yaml:"pages_max"`    // of one letter; 4 where it is not given

	BatchMax int    `yaml:"batch_max"` // letters in a batch, which is closed when it has them; 1000 where it is not given
	CloseAt  string `yaml:"close_at"`  // HH:MM, when the batch of the day is closed; 17:00 where it is not given
	Timezone string `yaml:"timezone"`  // of close_at, and of times in receipts that name none; UTC where it is not given

	Receipts       string           `yaml:"receipts"`        // the folder of the print house's files; receipts within folder where it is not given
	Every          time.Duration    `yaml:"every"`           // how often it is looked at; 1m where it is not given
	InboundSecrets []channel.Secret `yaml:"inbound_secrets"` // whoever POSTs such a file to /v1/receipts/ gives one of them; none takes none
}

// Window is a kind of envelope with a window, by name.
type Window string

// The envelopes of DIN 5008, form A and form B, for DL and C6/5.
const (
	WindowDINA Window = "din5008_a"
	WindowDINB Window = "din5008_b"
)

// windows is the one table of envelopes: where the window is, and where the sheet is folded.
var windows = map[Window]struct {
	box   Box
	folds []float64
}{
	WindowDINA: {Box{Left: 20, Top: 27, Width: 85, Height: 45}, []float64{87, 192}},
	WindowDINB: {Box{Left: 20, Top: 45, Width: 85, Height: 45}, []float64{105, 210}},
}

// Box is a place on the sheet, in millimetres.
type Box struct {
	Left   float64 `yaml:"left"`
	Top    float64 `yaml:"top"`
	Width  float64 `yaml:"width"`
	Height float64 `yaml:"height"`
}

// Limits and defaults.
const (
	pagesDefault  = 4
	pagesMax      = 20
	batchDefault  = 1000
	batchMax      = 100_000
	headerMax     = 8
	fontsMax      = 8
	everyDefault  = time.Minute
	everyMin      = time.Second
	everyMax      = 24 * time.Hour
	secretsMax    = 2
	secretLenMin  = 16
	closeDefault  = "17:00"
	classDefault  = "standard"
	sendTimeout   = 30 * time.Second
	windowSideMin = 15 // the narrowest and lowest window
)

// defaultFonts are where Debian's packages fonts-dejavu-core and fonts-droid-fallback put them.
func defaultFonts() []string {
	return []string{"/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf"}
}

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	if c.Folder == "" {
		p.Add("folder", "missing", "give the folder that the print house reads")
	}
	if len(c.Fonts) > fontsMax {
		p.Add("fonts", "more than "+strconv.Itoa(fontsMax), "one for Latin and one for Chinese are enough")
	}
	if len(c.Header) > headerMax {
		p.Add("header", "more than "+strconv.Itoa(headerMax)+" lines", "keep the name, the address and the numbers")
	}
	c.checkWindow(p)
	if strings.ContainsAny(c.Sender, "\r\n") {
		p.Add("sender", "more than one line", "put commas between its parts")
	}
	if strings.ContainsAny(c.PostalClass, ",\"\r\n") {
		p.Add("postal_class", "not one word", "write what the print house calls it, such as standard or registered")
	}
	if c.PagesMax < 0 || c.PagesMax > pagesMax {
		p.Add("pages_max", "not from 1 to "+strconv.Itoa(pagesMax), "leave it out for "+strconv.Itoa(pagesDefault))
	}
	if c.BatchMax < 0 || c.BatchMax > batchMax {
		p.Add("batch_max", "not from 1 to "+strconv.Itoa(batchMax), "leave it out for "+strconv.Itoa(batchDefault))
	}
	if _, err := civil.ParseClock(c.CloseAt); c.CloseAt != "" && err != nil {
		p.Add("close_at", "not a time of day", "write it as 17:00")
	}
	if _, err := time.LoadLocation(c.Timezone); err != nil {
		p.Add("timezone", "not an IANA time zone", "write it as Asia/Shanghai")
	}
	if c.Every != 0 && (c.Every < everyMin || c.Every > everyMax) {
		p.Add("every", "not from "+everyMin.String()+" to "+everyMax.String(), "leave it out for "+everyDefault.String())
	}
	if len(c.InboundSecrets) > secretsMax {
		p.Add("inbound_secrets", "more than "+strconv.Itoa(secretsMax), "keep the new one and the one it replaces")
	}
	for i, s := range c.InboundSecrets {
		if len(s.Reveal()) < secretLenMin {
			p.Add("inbound_secrets["+strconv.Itoa(i)+"]", "shorter than "+strconv.Itoa(secretLenMin)+" characters", "make one with: openssl rand -hex 32")
		}
	}
	return p.Err()
}

// checkWindow reports a window that is none, or that leaves no room beside it for the header.
func (c Config) checkWindow(p *channel.Problems) {
	if _, ok := windows[c.Window]; c.Window != "" && !ok {
		p.Add("window", "not an envelope that is known", "write din5008_a or din5008_b, or give window_mm")
	}
	if c.WindowMM == nil {
		return
	}
	b := *c.WindowMM
	switch {
	case c.Window != "":
		p.Add("window_mm", "given beside window", "give one of them")
	case b.Left < 0 || b.Top < 0 || b.Width < windowSideMin || b.Height < windowSideMin || b.Left+b.Width > sheetWidth || b.Top+b.Height > sheetHeight/2:
		p.Add("window_mm", "not in the upper half of a sheet of A4", "measure left, top, width and height from the sheet's upper left corner, in millimetres")
	default:
		if _, width := headerColumn(b); width < headerWidthMin && len(c.Header) > 0 {
			p.Add("window_mm", "leaves no room beside it for the header", "take header out, or use a narrower window")
		}
	}
}

func (c Config) withDefaults() Config {
	if len(c.Fonts) == 0 {
		c.Fonts = defaultFonts()
	}
	if c.Window == "" && c.WindowMM == nil {
		c.Window = WindowDINB
	}
	if c.PostalClass == "" {
		c.PostalClass = classDefault
	}
	if c.PagesMax == 0 {
		c.PagesMax = pagesDefault
	}
	if c.BatchMax == 0 {
		c.BatchMax = batchDefault
	}
	if c.CloseAt == "" {
		c.CloseAt = closeDefault
	}
	if c.Every == 0 {
		c.Every = everyDefault
	}
	if c.Receipts == "" {
		c.Receipts = filepath.Join(c.Folder, "receipts")
	}
	return c
}

// window is where the address shows, and where the sheet is folded if that is known.
func (c *Config) window() (Box, []float64) {
	if c.WindowMM != nil {
		return *c.WindowMM, nil
	}
	w := windows[c.Window]
	return w.box, w.folds
}
