package api

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/route"
	"github.com/dulyhq/duly/internal/engine"
)

// metrics are counts by state, reason and step; never by borrower or loan.
type metrics struct {
	registry *prometheus.Registry
	steps    *prometheus.CounterVec
	sent     *prometheus.CounterVec
	held     *prometheus.CounterVec
	planned  *prometheus.CounterVec
	receipts prometheus.Counter
	asked    *prometheus.CounterVec
	gone     *prometheus.CounterVec
}

func newMetrics(d Deps) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		steps:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "duly_steps_total", Help: "Steps of the engine, by result."}, []string{"result"}),
		sent:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "duly_dispatched_total", Help: "Claimed contacts, by what became of them."}, []string{"result"}),
		held:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "duly_held_total", Help: "Contacts that were due and were not sent, by reason."}, []string{"reason"}),
		planned:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "duly_planned_total", Help: "Contacts that a plan wrote or changed, by state."}, []string{"state"}),
		receipts: prometheus.NewCounter(prometheus.CounterOpts{Name: "duly_receipts_total", Help: "Receipts kept."}),
		asked:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "duly_reservations_total", Help: "Slots that were asked for, by result; unknown are those that ran out without a word."}, []string{"result"}),
		gone:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "duly_forgotten_total", Help: "Records removed because they need not be kept any more, by kind."}, []string{"record"}),
	}
	m.registry.MustRegister(m.steps, m.sent, m.held, m.planned, m.receipts, m.asked, m.gone, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &stateCollector{d}, heardCollector(d.Inbound))
	return m
}

func (m *metrics) step(r engine.Report, err error) {
	if err != nil {
		m.steps.WithLabelValues("failed").Inc()
	} else {
		m.steps.WithLabelValues("ok").Inc()
	}
	d := r.Dispatched
	for result, n := range map[string]int{"accepted": d.Accepted, "failed": d.Failed, "retried": d.Retried, "in_doubt": d.InDoubt + d.Lapsed, "recalled": d.Recalled} {
		m.sent.WithLabelValues(result).Add(float64(n))
	}
	for reason, n := range d.Held {
		m.held.WithLabelValues(reason).Add(float64(n))
	}
	m.planned.WithLabelValues(string(duly.Planned)).Add(float64(r.Planned.Planned))
	m.planned.WithLabelValues(string(duly.Blocked)).Add(float64(r.Planned.Blocked))
	m.receipts.Add(float64(r.Received.Receipts))
	m.asked.WithLabelValues("unknown").Add(float64(d.Unknown))
	for record, n := range r.Forgotten.Rows {
		m.gone.WithLabelValues(string(record)).Add(float64(n))
	}
}

// stateCollector reads what the store holds when it is scraped.
type stateCollector struct{ d Deps }

var (
	descContacts = prometheus.NewDesc("duly_contacts", "Contacts, by state.", []string{"state"}, nil)
	descOwned    = prometheus.NewDesc("duly_node_buckets", "Buckets that a node works on.", []string{"node", "name"}, nil)
	descHeard    = prometheus.NewDesc("duly_node_heard_seconds", "How long ago a node that has not ended renewed its lease.", []string{"node", "name"}, nil)
	descLeft     = prometheus.NewDesc("duly_node_lease_left_seconds", "How long a node's lease still runs.", []string{"node", "name"}, nil)
	descUnowned  = prometheus.NewDesc("duly_buckets_unowned", "Buckets that nobody works on.", nil, nil)
	descWaiting  = prometheus.NewDesc("duly_buckets_unowned_seconds", "For how long the longest of them.", nil, nil)
	descSending  = prometheus.NewDesc("duly_sending", "1 while this process has a lease.", nil, nil)
	descCarrier  = prometheus.NewDesc("duly_carrier_state", "1 for the state that a carrier is in, as this process knows it.", []string{"carrier", "state"}, nil)
	descRested   = prometheus.NewDesc("duly_carrier_rests_total", "How often a carrier had to rest.", []string{"carrier"}, nil)
	descSent     = prometheus.NewDesc("duly_carrier_sent_total", "Messages that were handed to a carrier.", []string{"carrier"}, nil)
	descTokens   = prometheus.NewDesc("duly_carrier_tokens", "What is left of this process's part of a carrier's rate.", []string{"carrier"}, nil)
	descStopped  = prometheus.NewDesc("duly_channel_stopped", "1 while a channel rests because it has cost as much in an hour as it may.", []string{"channel"}, nil)
	descOrphans  = prometheus.NewDesc("duly_receipts_unknown", "Receipts that name no attempt that is known: looked for, or given up.", []string{"state"}, nil)
	descFeed     = prometheus.NewDesc("duly_payment_feed_timestamp_seconds", "Up to when payments are known.", nil, nil)
)

// Describe tells the names of what Collect collects.
func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descContacts, descFeed, descOwned, descHeard, descLeft, descUnowned, descWaiting, descSending, descCarrier, descRested, descSent, descTokens, descStopped, descOrphans} {
		ch <- d
	}
}

// Collect counts contacts by state, tells how fresh the payment feed is, and who works on which share.
func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	sending := 0.0
	if c.d.Engine.Holding().Live() {
		sending = 1
	}
	gauge(descSending, sending)
	c.carriers(ch)
	if parked, givenUp, err := c.d.DB.CountOrphans(ctx); err == nil {
		gauge(descOrphans, float64(parked), "parked")
		gauge(descOrphans, float64(givenUp), "given_up")
	}
	if nodes, err := engine.Nodes(ctx, c.d.DB, c.d.Engine.Holding().Share()); err == nil {
		gauge(descUnowned, float64(nodes.Unowned))
		gauge(descWaiting, nodes.UnownedFor)
		for _, n := range nodes.Nodes {
			if n.State == "ended" {
				continue
			}
			gauge(descOwned, float64(n.Buckets), n.ID, n.Name)
			gauge(descHeard, n.Heard, n.ID, n.Name)
			gauge(descLeft, n.Left, n.ID, n.Name)
		}
	}
	counts, err := c.d.DB.CountContacts(ctx)
	if err != nil {
		c.d.Log.Warn("contacts cannot be counted for metrics", "error", err)
		return
	}
	for _, s := range duly.ContactStates() {
		gauge(descContacts, float64(counts[s]), string(s))
	}
	if feed, err := c.d.DB.FeedAt(ctx, engine.FeedPayments); err == nil && !feed.IsZero() {
		gauge(descFeed, float64(feed.Unix()))
	}
}

// heardCollector reads what carriers count of what came back to them.
type heardCollector map[string]channel.Inbound

var descCame = prometheus.NewDesc("duly_carrier_heard_total", "What came back to a carrier since the start, by what it was.", []string{"carrier", "what"}, nil)

// Describe tells the name of what Collect collects.
func (c heardCollector) Describe(ch chan<- *prometheus.Desc) { ch <- descCame }

// Collect reads the counts of the carriers that have any.
func (c heardCollector) Collect(ch chan<- prometheus.Metric) {
	for name, in := range c {
		counter, ok := in.(channel.Counter)
		if !ok {
			continue
		}
		for what, n := range counter.Counts() {
			ch <- prometheus.MustNewConstMetric(descCame, prometheus.CounterValue, float64(n), name, what)
		}
	}
}

// carriers tells how the carriers do, as this process knows them.
func (c *stateCollector) carriers(ch chan<- prometheus.Metric) {
	stopped := map[duly.Channel]float64{}
	for _, x := range c.d.Engine.RouteReports(c.d.Now().UTC()) {
		for _, s := range route.States() {
			v := 0.0
			if s == x.State {
				v = 1
			}
			ch <- prometheus.MustNewConstMetric(descCarrier, prometheus.GaugeValue, v, x.Carrier, string(s))
		}
		ch <- prometheus.MustNewConstMetric(descRested, prometheus.CounterValue, float64(x.Opened), x.Carrier)
		ch <- prometheus.MustNewConstMetric(descSent, prometheus.CounterValue, float64(x.Sent), x.Carrier)
		if x.Rate != "" {
			ch <- prometheus.MustNewConstMetric(descTokens, prometheus.GaugeValue, float64(x.Tokens), x.Carrier)
		}
		for _, of := range x.Channels {
			stopped[of] += 0
		}
		for _, of := range x.Stopped {
			stopped[of] = 1
		}
	}
	for of, v := range stopped {
		ch <- prometheus.MustNewConstMetric(descStopped, prometheus.GaugeValue, v, string(of))
	}
}
