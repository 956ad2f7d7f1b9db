package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
)

// conn is one connection of an engine, spoken to in the engine's own way: the layer that is the same for all databases
// costs as much as an embedded one takes for the work itself. Texts are in the words of dialect. A server that does not
// answer within the dialect's limit breaks the connection.
type conn interface {
	// begin opens a transaction. The commit of a part does not wait for the disk.
	begin(ctx context.Context, text string, part bool) error
	// exec runs a statement and returns how many rows it affected.
	exec(ctx context.Context, text string, args []any) (int64, error)
	// query hands every row to scan.
	query(ctx context.Context, text string, args []any, scan func(*row) error) error
	// queries runs several queries, in one round trip where there are any.
	queries(ctx context.Context, asks []ask) error
	// rows runs a statement over rows of cells, and returns how many rows it affected.
	rows(ctx context.Context, b *batch, args []any) (int64, error)
	// close gives the connection up; broken is one in an unknown state, which is not used again.
	close(broken bool)
}

// ask is one query of several.
type ask struct {
	text string
	args []any
	scan func(*row) error
}

// session is a connection for the length of a transaction.
type session struct {
	conn conn
	open bool // a transaction is open
}

// pool hands out sessions: for SQLite from a fixed set that outlives the transactions, with the statements prepared on
// them; for Postgres from the driver's.
type pool struct {
	db      *sql.DB // for the schema, and the connections to Postgres
	connect func(ctx context.Context) (conn, error)
	idle    chan struct{} // one for each session that is free; nil for Postgres
	closed  atomic.Bool   // the sessions that are left connect no more
	mu      sync.Mutex
	free    []*session // the one used last is taken first: its statements are prepared, and its pages at hand
}

var errClosed = errors.New("the store is closed")

func newPool(db *sql.DB, kept int, connect func(ctx context.Context) (conn, error)) *pool {
	p := &pool{db: db, connect: connect}
	if kept > 0 {
		p.idle = make(chan struct{}, kept)
		for range kept {
			p.giveBack(&session{})
		}
	}
	return p
}

// begin takes a session and opens a transaction on it; rollback must follow.
func (p *pool) begin(ctx context.Context, text string, part bool) (*session, error) {
	s := &session{}
	if p.idle != nil {
		select {
		case <-p.idle:
			s = p.take()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if s.conn == nil {
		if p.closed.Load() {
			p.giveBack(s)
			return nil, errClosed
		}
		c, err := p.connect(ctx)
		if err != nil {
			p.giveBack(s)
			return nil, err
		}
		s.conn = c
	}
	if err := s.conn.begin(ctx, text, part); err != nil {
		s.drop(true)
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
		ctx, cancel := context.WithTimeout(context.Background(), endLimit)
		defer cancel()
		if _, err := s.conn.exec(ctx, "ROLLBACK", nil); err != nil {
			s.drop(true)
		}
	}
	p.giveBack(s)
}

func (p *pool) giveBack(s *session) {
	if p.idle == nil {
		s.drop(false)
		return
	}
	p.mu.Lock()
	p.free = append(p.free, s)
	p.mu.Unlock()
	p.idle <- struct{}{}
}

// take returns a session that is free, of which idle has just told.
func (p *pool) take() *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	return s
}

// alone runs one query that is a transaction of its own.
func (p *pool) alone(ctx context.Context, scan func(*row) error, query string, args []any) error {
	c, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer c.close(false)
	return c.query(ctx, query, args, scan)
}

// close waits for the sessions in use, then closes all.
func (p *pool) close() error {
	if p.idle != nil {
		for range cap(p.idle) {
			<-p.idle
			s := p.take()
			s.drop(false)
		}
		p.closed.Store(true)
		for range cap(p.idle) {
			p.giveBack(&session{})
		}
	}
	return p.db.Close()
}

func (s *session) commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// Past this point the transaction may be durable: it is not cut short, unless by a server that never answers.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endLimit)
	defer cancel()
	_, err := s.conn.exec(ctx, "COMMIT", nil)
	if err == nil {
		s.open = false
	}
	return err
}

func (s *session) drop(broken bool) {
	if s.conn != nil {
		s.conn.close(broken)
	}
	*s = session{}
}
