package app

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/web/console"
)

// faces answers the API's paths by the API, and all others by the console.
func (a *App) faces(api http.Handler) (http.Handler, error) {
	c, err := console.New(console.Deps{Engine: a.Engine, DB: a.DB, Log: a.Log, Now: time.Now})
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.Path; strings.HasPrefix(p, "/v1/") || p == "/metrics" || p == "/healthz" {
			api.ServeHTTP(w, r)
			return
		}
		c.ServeHTTP(w, r)
	}), nil
}

// FirstLink returns the path of the console that opens the first account of a store, where there is none that could be used; else "".
func (a *App) FirstLink(ctx context.Context) (string, error) {
	secret, err := console.Begin(ctx, a.DB, time.Now().UTC())
	if err != nil || secret == "" {
		return "", err
	}
	return console.LinkPath(secret), nil
}
