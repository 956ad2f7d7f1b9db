package letter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/channel"
)

// TestFaults is the decision on what the file system says: all but the last are proof that no letter was taken.
func TestFaults(t *testing.T) {
	t.Parallel()
	wrapped := func(err error) error { return fmt.Errorf("write: %w", &os.PathError{Op: "write", Path: "x", Err: err}) }
	for _, tt := range []struct {
		err  error
		want channel.Error
	}{
		{wrapped(syscall.ENOSPC), channel.Error{Class: channel.Temporary, Code: "disk_full"}},
		{wrapped(syscall.EDQUOT), channel.Error{Class: channel.Temporary, Code: "disk_full"}},
		{wrapped(syscall.EACCES), channel.Error{Class: channel.Config, Code: "not_allowed"}},
		{wrapped(syscall.EPERM), channel.Error{Class: channel.Config, Code: "not_allowed"}},
		{wrapped(syscall.EROFS), channel.Error{Class: channel.Config, Code: "not_allowed"}},
		{wrapped(syscall.ENOENT), channel.Error{Class: channel.Temporary, Code: "folder", Detail: "the folder is not there"}},
		{wrapped(syscall.EIO), channel.Error{Class: channel.Temporary, Code: "folder"}},
		{errors.Join(wrapped(syscall.ENOSPC), nil), channel.Error{Class: channel.Temporary, Code: "disk_full"}},
		{context.DeadlineExceeded, channel.Error{Class: channel.Temporary, Code: "timeout"}},
		{context.Canceled, channel.Error{Class: channel.Temporary, Code: "timeout"}},
		{errUnsure, channel.Error{Class: channel.Unknown, Code: "sync"}},
	} {
		if diff := cmp.Diff(&tt.want, fault(tt.err)); diff != "" {
			t.Errorf("%v: -want +got:\n%s", tt.err, diff)
		}
	}
}
