package reply

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/civil"
)

func TestHours(t *testing.T) {
	t.Parallel()
	hm := func(h, m int) civil.Clock { return civil.Clock(h*60 + m) }
	weekend := []time.Weekday{time.Saturday, time.Sunday}
	for _, c := range []struct {
		text string
		want Hours
	}{
		{"Only call me after 6pm", Hours{From: hm(18, 0), To: midnight}},
		{"please call after 7", Hours{From: hm(19, 0), To: midnight}},
		{"you can reach me between 5 and 7 pm", Hours{From: hm(17, 0), To: hm(19, 0)}},
		{"best time is 9am to 11am", Hours{From: hm(9, 0), To: hm(11, 0)}},
		{"call me between 9 and 5 pm", Hours{From: hm(9, 0), To: hm(17, 0)}},
		{"call me before noon", Hours{To: hm(12, 0)}},
		{"weekends only please", Hours{Days: weekend}},
		{"don't call before 9am", Hours{To: hm(9, 0), Except: true}},
		{"Do not call me after 9:30 pm", Hours{From: hm(21, 30), To: midnight, Except: true}},
		{"please don't call on Sundays", Hours{Days: []time.Weekday{time.Sunday}, Except: true}},
		{"只能晚上7点后联系", Hours{From: hm(19, 0), To: midnight}},
		{"晚上七点半以后联系", Hours{From: hm(19, 30), To: midnight}},
		{"请在下午三点到五点之间联系", Hours{From: hm(15, 0), To: hm(17, 0)}},
		{"早上9点到11点可以接电话", Hours{From: hm(9, 0), To: hm(11, 0)}},
		{"上午10点到下午4点联系我", Hours{From: hm(10, 0), To: hm(16, 0)}},
		{"只能晚上9点前打电话", Hours{To: hm(21, 0)}},
		{"周末再打", Hours{Days: weekend}},
		{"晚上10点以后别打", Hours{From: hm(22, 0), To: midnight, Except: true}},
		{"上班时间不要打电话", Hours{From: hm(9, 0), To: hm(18, 0), Except: true}},
		{"麻煩晚上八點後再打", Hours{From: hm(20, 0), To: midnight}},
		{"下午3点打给我", Hours{}}, // an hour is no span: a person reads it
		{"call me later", Hours{}},
	} {
		r := Classify(Message{Text: c.text, On: came})
		if diff := cmp.Diff(c.want, r.Hours); r.Intent != Hour || diff != "" {
			t.Errorf("%q: %s (-want +got)\n%s", c.text, r.Intent, diff)
		}
		if narrow := !c.want.IsZero(); r.Auto != narrow {
			t.Errorf("%q: got auto %v, want %v", c.text, r.Auto, narrow)
		}
	}
}
