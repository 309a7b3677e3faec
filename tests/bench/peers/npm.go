package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	messageDBVersion = "1.3.1"
	messageDBPackage = "@eventide/message-db@" + messageDBVersion
	messageDBArchive = "eventide-message-db-" + messageDBVersion + ".tgz"
	messageDBSum     = "n3hdE5YAZNXTr2HK9gG0GJ6dusgdE544LTvS+21/yOEHBvNuUzNmXXw5vS05vpe6RSuhzTRy5Wg0q7c1VfJg+A==" // SHA-512
)

// messageDBFiles is what its install.sh runs, in order, but for the extension pgcrypto, of which it
// uses a function that PostgreSQL has had built in since version 13, and for the role, its rights
// and the views, which are for people.
var messageDBFiles = []string{
	"schema/message-store.sql", "tables/messages.sql", "types/message.sql",
	"functions/message-store-version.sql", "functions/hash-64.sql", "functions/acquire-lock.sql", "functions/category.sql",
	"functions/is-category.sql", "functions/id.sql", "functions/cardinal-id.sql", "functions/stream-version.sql",
	"functions/write-message.sql", "functions/get-stream-messages.sql", "functions/get-category-messages.sql",
	"functions/get-last-stream-message.sql",
	"indexes/messages-id.sql", "indexes/messages-stream.sql", "indexes/messages-category.sql",
}

// fetchMessageDB returns the SQL of Message DB, by file. It comes from npm, and is kept for the
// next time in the user's cache.
func fetchMessageDB(ctx context.Context) (map[string]string, error) {
	const wayOut = "; choose others with --peers to go without Message DB"
	archive, err := messageDBArchiveBytes(ctx)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w%s", messageDBPackage, err, wayOut)
	}
	files, err := untar(archive, "package/database/")
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", messageDBPackage, err)
	}
	for _, name := range messageDBFiles {
		if files[name] == "" {
			return nil, fmt.Errorf("%s has no file %s", messageDBPackage, name)
		}
	}
	return files, nil
}

func messageDBArchiveBytes(ctx context.Context) ([]byte, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "recount", "npm")
	archive, err := checked(filepath.Join(dir, messageDBArchive))
	if !errors.Is(err, fs.ErrNotExist) {
		return archive, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	// Renamed when complete, so that nobody sees a part of it.
	work, err := os.MkdirTemp(dir, "work")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	pack := exec.CommandContext(ctx, "npm", "pack", "--silent", "--pack-destination", work, messageDBPackage)
	if out, err := pack.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm pack: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	packed := filepath.Join(work, messageDBArchive)
	if archive, err = checked(packed); err != nil {
		return nil, err
	}
	return archive, os.Rename(packed, filepath.Join(dir, messageDBArchive))
}

// checked reads the archive and makes sure that it is the one.
func checked(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	sum := sha512.Sum512(b)
	if got := base64.StdEncoding.EncodeToString(sum[:]); got != messageDBSum {
		return nil, fmt.Errorf("%s is not what it was: its SHA-512 is %s instead of %s", file, got, messageDBSum)
	}
	return b, nil
}

// untar returns the files of an archive below a folder, by their names there.
func untar(archive []byte, below string) (map[string]string, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	files := make(map[string]string)
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		name, inside := strings.CutPrefix(header.Name, below)
		if !inside || header.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		files[name] = string(content)
	}
}
