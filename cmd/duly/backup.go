package main

import (
	"crypto/rand"
	"os"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
)

func (c *command) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use: "backup FILE", Short: "Write one moment of the store into a file, while it is worked on",
		Long: "The file holds everything, personal data too: keep it where the store may be kept. Of SQLite it is a SQLite file, of PostgreSQL\n" +
			"a zip file with every table, read in one snapshot; no other program is needed. What is restored from it is held.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				now := c.now().UTC()
				if err := a.DB.Backup(cmd.Context(), args[0], rand.Text(), now); err != nil {
					return err
				}
				info, err := os.Stat(args[0])
				if err != nil {
					return err
				}
				c.printf("%s: the store as of %s, %d KiB\n", args[0], now.In(a.Location).Format(zoned), (info.Size()+1023)/1024)
				return nil
			})
		},
	}
}

func (c *command) restoreCommand() *cobra.Command {
	var mark bool
	cmd := &cobra.Command{
		Use: "restore [FILE]", Short: "Make a store of a backup, held until a person releases it",
		Long: "Goes to where --store or the configuration says, which must be empty. Nothing is sent from it until `duly resume --after-restore`,\n" +
			"because what the lost store sent since the backup is not known. With --mark no file is restored: the store that is there was\n" +
			"put back by other means (a copy of the disk, pg_basebackup, pg_restore), and is held from now on. Stop every instance first.",
		Example: "  duly --store new.db restore monday.backup\n  duly restore --mark",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if mark == (len(args) == 1) {
				return duly.Errorf(duly.Usage, "a backup's file is needed, or --mark for a store that was put back by other means")
			}
			if mark {
				return c.look(cmd.Context(), func(a *app.App) error {
					if err := a.Engine.Hold(cmd.Context(), c.now().UTC(), rand.Text()); err != nil {
						return err
					}
					c.printf("the store is held\n")
					return c.heldHint()
				})
			}
			cfg, err := c.loadStore()
			if err != nil {
				return err
			}
			r, err := store.Restore(cmd.Context(), args[0], cfg.Store, c.now().UTC())
			if err != nil {
				return err
			}
			c.printf("restored as of %s; the store is held\n", r.TakenAt.Format("2006-01-02 15:04:05 MST"))
			return c.heldHint()
		},
	}
	cmd.Flags().BoolVar(&mark, "mark", false, "hold the store that is there: it was put back by other means")
	return cmd
}

func (c *command) heldHint() error {
	c.printf("import what came in since, payments first, and run `duly feed`; then `duly resume --after-restore`\n")
	return nil
}

func (c *command) resumeCommand() *cobra.Command {
	var after bool
	var unknown string
	cmd := &cobra.Command{
		Use: "resume --after-restore", Short: "Release a store that was restored from a backup",
		Long: "Contacts of days up to that of the restoration may have been sent by the store that was lost. None of them is sent: with\n" +
			"--unknown in_doubt they count against limits until a receipt or a person (`duly doubt`) says what became of them; with skip they\n" +
			"are cancelled and count for nothing. Contacts of later days go out as planned, those of days that passed while the store was held\n" +
			"as the strategy makes up for them (catch_up). Refused until payments are known up to the restoration.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !after {
				return duly.Errorf(duly.Usage, "say what is to be resumed: --after-restore")
			}
			return c.look(cmd.Context(), func(a *app.App) error {
				through, err := a.Engine.Resume(cmd.Context(), c.now().UTC(), author(), unknown)
				if err != nil {
					return err
				}
				c.printf("released; what was due up to %s is never sent by itself (%s)\n", through, unknown)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&after, "after-restore", false, "release a store that was restored")
	cmd.Flags().StringVar(&unknown, "unknown", engine.UnknownInDoubt, "what becomes of contacts that may have been sent: in_doubt or skip")
	return cmd
}

// printHeld says if the store is held because it was restored.
func (c *command) printHeld(cmd *cobra.Command, a *app.App) error {
	all, err := a.DB.Restorations(cmd.Context())
	for i := range all {
		if r := &all[i]; r.Held() {
			c.printf("held: the store was restored from a backup; nothing is sent until `duly resume --after-restore`\n")
			break
		}
	}
	return err
}
