package store_test

import (
	"testing"

	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func TestStore(t *testing.T) {
	for _, kind := range storetest.Kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t testing.TB) *store.DB { return storetest.Open(t, kind) })
		})
	}
}
