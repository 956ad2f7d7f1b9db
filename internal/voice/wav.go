package voice

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
)

// wavMax bounds the samples of a file that is read: ten minutes at 48 kHz.
const wavMax = 10 * 60 * 48000

var errWAV = errors.New("not a WAV file of 16-bit samples")

// ReadWAV reads 16-bit sound of one channel or more, the first of which counts, at the rate of the telephone.
func ReadWAV(b []byte) ([]int16, error) {
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return nil, errWAV
	}
	channels, rate := 0, 0
	for b = b[12:]; len(b) >= 8; {
		id, size := string(b[:4]), int(binary.LittleEndian.Uint32(b[4:8]))
		b = b[8:]
		if size > len(b) { // what writes to a pipe does not know how long it will be
			size = len(b)
		}
		switch id {
		case "fmt ":
			if size < 16 || binary.LittleEndian.Uint16(b) != 1 || binary.LittleEndian.Uint16(b[14:]) != 16 {
				return nil, errWAV
			}
			channels, rate = int(binary.LittleEndian.Uint16(b[2:])), int(binary.LittleEndian.Uint32(b[4:]))
		case "data":
			if channels < 1 || channels > 8 || rate < Rate || rate > 48000 || size/2/channels > wavMax {
				return nil, errWAV
			}
			return Resample(firstChannel(b[:size], channels), rate), nil
		}
		b = b[min(size+size%2, len(b)):]
	}
	return nil, errWAV
}

func firstChannel(b []byte, channels int) []int16 {
	out := make([]int16, len(b)/2/channels)
	for i := range out {
		out[i] = int16(binary.LittleEndian.Uint16(b[i*2*channels:]))
	}
	return out
}

// Resample brings samples of a higher rate to the telephone's, without what it cannot carry.
func Resample(pcm []int16, rate int) []int16 {
	if rate == Rate {
		return pcm
	}
	const reach = 16 // zero crossings of the filter to each side
	step := float64(rate) / Rate
	out := make([]int16, int(float64(len(pcm))/step))
	for i := range out {
		at := float64(i) * step
		sum, weight := 0.0, 0.0
		for k := max(0, int(at-reach*step)); k <= min(len(pcm)-1, int(at+reach*step)); k++ {
			x := (float64(k) - at) / step
			w := sinc(x*0.9) * (0.5 + 0.5*math.Cos(math.Pi*x/(reach+1)))
			sum += w * float64(pcm[k])
			weight += w
		}
		if weight > 0 {
			out[i] = clamp(sum / weight)
		}
	}
	return out
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

func clamp(v float64) int16 { return int16(max(-32768, min(32767, v))) }

// WriteWAV is samples of one channel as a file.
func WriteWAV(pcm []int16) []byte {
	b := wavHead(1, len(pcm)*2)
	for _, s := range pcm {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	return b
}

func wavHead(channels, size int) []byte {
	b := append([]byte("RIFF"), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(b[4:], uint32(size+36))
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint16(b, uint16(channels))
	b = binary.LittleEndian.AppendUint32(b, Rate)
	b = binary.LittleEndian.AppendUint32(b, uint32(Rate*2*channels))
	b = binary.LittleEndian.AppendUint16(b, uint16(2*channels))
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	return binary.LittleEndian.AppendUint32(b, uint32(size))
}

// Recorder writes both sides of a call to a file: what was heard left, what was said right.
type Recorder struct {
	f    *os.File
	size int
	buf  []byte
}

// Record begins a file, which must not be there yet.
func Record(path string) (*Recorder, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	r := &Recorder{f: f, buf: wavHead(2, 0)}
	return r, nil
}

// bufMax is how much a recorder keeps before it writes.
const bufMax = 64 << 10

// Write adds a frame of each side; one that is shorter is filled with silence.
func (r *Recorder) Write(heard, said []int16) error {
	for i := range max(len(heard), len(said)) {
		r.buf = binary.LittleEndian.AppendUint16(r.buf, sampleAt(heard, i))
		r.buf = binary.LittleEndian.AppendUint16(r.buf, sampleAt(said, i))
		r.size += 4
	}
	if len(r.buf) < bufMax {
		return nil
	}
	return r.flush()
}

func sampleAt(pcm []int16, i int) uint16 {
	if i < len(pcm) {
		return uint16(pcm[i])
	}
	return 0
}

func (r *Recorder) flush() error {
	_, err := r.f.Write(r.buf)
	r.buf = r.buf[:0]
	return err
}

// Close ends the file with its length.
func (r *Recorder) Close() error {
	err := r.flush()
	if _, serr := r.f.Seek(0, io.SeekStart); err == nil {
		err = serr
	}
	if err == nil {
		_, err = r.f.Write(wavHead(2, r.size))
	}
	return errors.Join(err, r.f.Close())
}
