package store

import (
	"context"
	"database/sql"
	"errors"
)

// session is a connection for the length of a transaction, with the statements prepared on it. SQLite parses a text anew
// each time unless it is prepared; the Postgres driver keeps its own cache.
type session struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt // nil where the driver keeps them
	open  bool                 // a transaction is open
}

// pool hands out sessions: for SQLite from a fixed set that outlives the transactions, for Postgres from the driver's.
type pool struct {
	db   *sql.DB
	idle chan *session // nil for Postgres
}

func newPool(db *sql.DB, kept int) *pool {
	p := &pool{db: db}
	if kept > 0 {
		p.idle = make(chan *session, kept)
		for range kept {
			p.idle <- &session{}
		}
	}
	return p
}

// begin takes a session and opens a transaction on it; rollback must follow.
func (p *pool) begin(ctx context.Context, text string) (*session, error) {
	s := &session{}
	if p.idle != nil {
		select {
		case s = <-p.idle:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if s.conn == nil {
		c, err := p.db.Conn(ctx)
		if err != nil {
			p.giveBack(s)
			return nil, err
		}
		s.conn = c
		if p.idle != nil {
			s.stmts = map[string]*sql.Stmt{}
		}
	}
	if _, err := s.conn.ExecContext(ctx, text); err != nil {
		s.drop()
		p.giveBack(s)
		return nil, err
	}
	s.open = true
	return s, nil
}

// rollback ends the transaction if it is still open, and gives the session back.
func (p *pool) rollback(s *session) {
	if s.open {
		s.open = false
		ctx, cancel := s.ending(context.Background())
		defer cancel()
		if _, err := s.conn.ExecContext(ctx, "ROLLBACK"); err != nil {
			s.drop() // a connection in an unknown state is not used again
		}
	}
	p.giveBack(s)
}

func (p *pool) giveBack(s *session) {
	if p.idle != nil {
		p.idle <- s
		return
	}
	s.drop()
}

// close waits for the sessions in use, then closes all.
func (p *pool) close() error {
	var errs []error
	if p.idle != nil {
		for range cap(p.idle) {
			s := <-p.idle
			s.drop()
		}
		for range cap(p.idle) {
			p.idle <- &session{}
		}
	}
	return errors.Join(append(errs, p.db.Close())...)
}

func (s *session) commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// Past this point the transaction may be durable: it is not cut short.
	ctx, cancel := s.ending(context.WithoutCancel(ctx))
	defer cancel()
	_, err := s.conn.ExecContext(ctx, "COMMIT")
	if err == nil {
		s.open = false
	}
	return err
}

// ending bounds the end of a transaction where a server has to answer: one that never does must not hold the process.
func (s *session) ending(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.stmts != nil {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, endLimit)
}

func (s *session) drop() {
	for _, st := range s.stmts {
		st.Close()
	}
	if s.conn != nil {
		s.conn.Close()
	}
	*s = session{}
}

func (s *session) exec(ctx context.Context, d *dialect, query string, args []any) (sql.Result, error) {
	if s.stmts == nil {
		return s.conn.ExecContext(ctx, d.words.Replace(query), args...)
	}
	st, ctx, err := s.stmt(ctx, d, query)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(ctx, args...)
}

func (s *session) query(ctx context.Context, d *dialect, query string, args []any) (*sql.Rows, error) {
	if s.stmts == nil {
		return s.conn.QueryContext(ctx, d.words.Replace(query), args...)
	}
	st, ctx, err := s.stmt(ctx, d, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

// stmt returns the statement prepared on the session. The context it returns cannot be cancelled: the SQLite driver
// would start a goroutine for each statement to watch it, and statements are short, so cancellation is looked at between
// them.
func (s *session) stmt(ctx context.Context, d *dialect, query string) (*sql.Stmt, context.Context, error) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	ctx = context.WithoutCancel(ctx)
	if st := s.stmts[query]; st != nil {
		return st, ctx, nil
	}
	st, err := s.conn.PrepareContext(ctx, d.words.Replace(query))
	if err != nil {
		return nil, nil, err
	}
	s.stmts[query] = st
	return st, ctx, nil
}
