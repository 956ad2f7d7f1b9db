package ingest

import duly "github.com/dulyhq/duly"

// Vocabulary lists every key of a mapping and every field of every noun.
func Vocabulary() []string {
	out := append(topKeys(), sourceKeys()...)
	for _, k := range duly.FactKinds() {
		out = append(append(out, string(k)), fieldNames(findNoun(k))...)
	}
	return out
}
