package channel

import "strings"

// PartsOf reads Accepted.Parts: the carrier's references of the parts of a message, "" for one that has none. A message that
// went out whole has no parts.
func PartsOf(parts string) []string {
	if parts == "" {
		return nil
	}
	return strings.Split(parts, "\n")
}

// JoinParts writes references as Accepted.Parts has them. One reference makes no parts.
func JoinParts(ids []string) string {
	if len(ids) < 2 {
		return ""
	}
	clean := make([]string, len(ids))
	for i, id := range ids {
		clean[i] = strings.ReplaceAll(id, "\n", " ")
	}
	return strings.Join(clean, "\n")
}
