package baddisk_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/sim/baddisk"
)

// mount returns a disk, where it is mounted and what is behind it.
func mount(t *testing.T) (d *baddisk.Disk, at, behind string) {
	t.Helper()
	at, behind = t.TempDir(), t.TempDir()
	d, err := baddisk.Mount(behind, at)
	if err != nil {
		t.Skipf("LOUD SKIP: this machine or this user has no FUSE, so that disks that fail were NOT tried: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d, at, behind
}

// sh runs a line of shell in a process of its own, so that this one does not wait for itself.
func sh(t *testing.T, dir, line string) error {
	t.Helper()
	cmd := exec.Command("sh", "-ec", line)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	t.Logf("%s: %s%v", line, out, err)
	return err
}

func TestReadOnlyUnderOpenFiles(t *testing.T) {
	d, at, behind := mount(t)
	// A program that has a file open throughout, and writes a line for each that it reads.
	cmd := exec.Command("sh", "-c", `exec 3>open; while read -r line; do echo "$line" >&3 && echo yes || echo no; done`)
	cmd.Dir = at
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() {
		_ = in.Close()
		_ = cmd.Wait()
	}()
	write := func(line string) string {
		_, err := in.Write([]byte(line + "\n"))
		require.NoError(t, err)
		answer := make([]byte, 4)
		n, err := out.Read(answer)
		require.NoError(t, err)
		return string(answer[:n-1])
	}
	require.Equal(t, "yes", write("before"))
	require.NoError(t, sh(t, at, "mkdir dir; echo 1 > dir/file; ln -s file dir/link"))

	d.Fail(syscall.EROFS)
	require.Equal(t, "no", write("within"))
	for _, line := range []string{
		"echo 2 > new", "echo 2 >> dir/file", "truncate -s 0 dir/file", "fallocate -l 9 dir/file", "mkdir other", "rmdir dir", "rm -f dir/link",
		"mv dir/file dir/moved", "ln dir/file dir/hard", "ln -s file dir/soft", "chmod 600 dir/file", "touch dir/file",
	} {
		require.Error(t, sh(t, at, line), line)
	}
	require.NoError(t, sh(t, at, "test $(cat dir/file) = 1; test $(cat dir/link) = 1; ls; sync dir/file"))
	require.NotZero(t, d.Refused())

	d.Mend()
	require.Equal(t, "yes", write("after"))
	require.NoError(t, sh(t, at, "echo 2 > new; mv dir/file dir/moved; rm dir/link"))
	got, err := os.ReadFile(filepath.Join(behind, "open"))
	require.NoError(t, err)
	require.Equal(t, "before\nafter\n", string(got))
}

func TestFullAndBroken(t *testing.T) {
	d, at, _ := mount(t)
	require.NoError(t, sh(t, at, "echo 1 > file"))
	d.Fail(syscall.ENOSPC)
	require.Error(t, sh(t, at, "echo 2 > new"))
	require.Error(t, sh(t, at, "echo 2 >> file"))
	require.NoError(t, sh(t, at, "mv file other; sync other; rm other"))
	d.Fail(syscall.EIO)
	require.Error(t, sh(t, at, "echo 2 > new"))
	d.Mend()
	require.NoError(t, sh(t, at, "echo 1 > file"))
	d.Fail(syscall.EIO)
	require.Error(t, sh(t, at, "sync file"))
	d.Mend()
	require.NoError(t, sh(t, at, "sync file"))
}
