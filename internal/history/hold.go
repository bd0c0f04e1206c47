package history

import (
	"context"
	"log/slog"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/tsdb"
)

// deletable is called by upstream before it deletes blocks that are beyond the retention, in the goroutine that moves full
// chunks out of memory right after. Where they cannot be written, it returns late.
func (d *disk) deletable(blocks []*tsdb.Block) (found map[ulid.ULID]struct{}) {
	db := d.db.Load()
	if db == nil {
		return nil // It is being opened; the next time is a minute later.
	}
	d.hold(func() bool {
		found = tsdb.DefaultBlocksToDelete(db)(blocks)
		return len(found) > 0
	})
	return found
}

// holdingHandler holds up the same goroutine where upstream cannot read the directory and does not ask what to delete: it says so
// in its log, and goes on to move chunks.
type holdingHandler struct {
	slog.Handler
	disk *disk
}

// Enabled has errors come by whether or not they are written.
func (h holdingHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelError || h.Handler.Enabled(ctx, l)
}

func (h holdingHandler) Handle(ctx context.Context, r slog.Record) (err error) {
	if h.Handler.Enabled(ctx, r.Level) {
		err = h.Handler.Handle(ctx, r)
	}
	if r.Message == "reloadBlocks" && h.disk.db.Load() != nil {
		h.disk.hold(func() bool { return false })
	}
	return err
}

func (h holdingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return holdingHandler{h.Handler.WithAttrs(attrs), h.disk}
}

func (h holdingHandler) WithGroup(name string) slog.Handler {
	return holdingHandler{h.Handler.WithGroup(name), h.disk}
}

// hold returns when chunks can be moved to disk. deletes says whether there is something to delete.
func (d *disk) hold(deletes func() bool) {
	for {
		err := d.mayMove(deletes())
		if err == nil {
			if d.holding.Swap(nil) != nil {
				d.logger.Info("The database is looked after again", "dir", d.dir)
			}
			return
		}
		if was := d.holding.Load(); was != nil {
			d.holding.Store(&trouble{since: was.since, err: err})
		} else {
			d.holding.Store(&trouble{since: time.Now(), err: err})
			d.logger.Error("Nothing is compacted, deleted or moved out of memory until the disk can be written",
				"err", explain("write to", d.dir, err))
		}
		select {
		case <-time.After(lastLook):
		case <-d.left:
			select {} // Nobody waits for it, and it must not go on.
		}
	}
}

// mayMove returns why chunks must not be moved to disk now. Deleting goes before on a disk that is nearly full.
func (d *disk) mayMove(deletes bool) error {
	if d.room.isLow(time.Now()) && !deletes && d.closing.Err() == nil {
		return errNoRoom
	}
	return d.probe()
}
