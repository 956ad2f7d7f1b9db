package stream_test

import (
	"testing"

	"github.com/dulyhq/duly/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
