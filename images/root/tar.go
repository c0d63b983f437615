package root

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
)

// xattrPrefix is how GNU tar and star name extended attributes in PAX records.
const xattrPrefix = "SCHILY.xattr."

// ReadTar adds the entries of a tar to the tree, over what is there. Content stays
// in the tar, so r must stay open for as long as the tree is used. Device nodes,
// FIFOs and sockets are left out; ACLs too (system.posix_acl_*): the root has none
// that matter, and their binary form differs between tools.
func (t *Tree) ReadTar(r io.ReaderAt, size int64) error {
	// archive/tar reads whole blocks and nothing ahead, so after Next the
	// section stands at the first byte of the content.
	section := io.NewSectionReader(r, 0, size)
	reader := tar.NewReader(section)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the tar: %w", err)
		}
		name := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
		if name == "" {
			continue // the root itself
		}
		e := Entry{Path: name, Perm: uint32(header.Mode & 0o7777), UID: header.Uid, GID: header.Gid}
		for key, value := range header.PAXRecords {
			if strings.HasPrefix(key, "GNU.sparse") {
				// Its bytes do not lie in one piece behind the header.
				return fmt.Errorf("reading the tar: %s is stored sparse", name)
			}
			if x, ok := strings.CutPrefix(key, xattrPrefix); ok && !strings.HasPrefix(x, "system.") {
				if e.Xattr == nil {
					e.Xattr = map[string]string{}
				}
				e.Xattr[x] = value
			}
		}
		switch header.Typeflag {
		case tar.TypeReg:
			offset, err := section.Seek(0, io.SeekCurrent)
			if err != nil {
				return fmt.Errorf("reading the tar: %w", err)
			}
			length := header.Size
			if offset+length > size {
				return fmt.Errorf("reading the tar: %s is cut off", name)
			}
			e.content = &content{size: length, open: func() (io.ReadCloser, error) {
				return io.NopCloser(io.NewSectionReader(r, offset, length)), nil
			}}
		case tar.TypeDir:
			e.Kind = Directory
		case tar.TypeSymlink:
			e.Kind, e.Link, e.Perm = Symlink, header.Linkname, 0o777
		case tar.TypeLink:
			target := strings.TrimPrefix(path.Clean("/"+header.Linkname), "/")
			first, ok := t.entries[target]
			if !ok || first.Kind != Regular {
				return fmt.Errorf("reading the tar: hard link %s points to %s, which is not a file before it", name, target)
			}
			e.content, e.Perm, e.UID, e.GID, e.Xattr = first.content, first.Perm, first.UID, first.GID, first.Xattr
		case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
			continue
		default:
			return fmt.Errorf("reading the tar: %s has the unknown type %q", name, header.Typeflag)
		}
		if err := t.Add(e); err != nil {
			return fmt.Errorf("reading the tar: %w", err)
		}
	}
}

// WriteTar writes the tree as a PAX tar: sorted by path, every time set to epoch,
// numeric owners only. Equal trees give equal bytes.
func (t *Tree) WriteTar(w io.Writer, epoch time.Time) error {
	epoch = epoch.UTC().Truncate(time.Second)
	out := tar.NewWriter(w)
	written := map[*content]string{}
	for e := range t.All() {
		header := &tar.Header{Name: "./" + e.Path, Mode: int64(e.Perm), Uid: e.UID, Gid: e.GID, ModTime: epoch, Format: tar.FormatPAX}
		if len(e.Xattr) > 0 {
			header.PAXRecords = map[string]string{}
			for key, value := range e.Xattr {
				header.PAXRecords[xattrPrefix+key] = value
			}
		}
		switch e.Kind {
		case Directory:
			header.Typeflag = tar.TypeDir
			header.Name += "/"
		case Symlink:
			header.Typeflag, header.Linkname = tar.TypeSymlink, e.Link
		case Regular:
			if first, ok := written[e.content]; ok {
				// A hard link carries the mode of its inode.
				header.Typeflag, header.Linkname, header.PAXRecords = tar.TypeLink, "./"+first, nil
				break
			}
			written[e.content] = e.Path
			header.Typeflag, header.Size = tar.TypeReg, e.content.size
		}
		if err := out.WriteHeader(header); err != nil {
			return fmt.Errorf("writing %s to the tar: %w", e.Path, err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if err := copyContent(out, e); err != nil {
			return fmt.Errorf("writing %s to the tar: %w", e.Path, err)
		}
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("ending the tar: %w", err)
	}
	return nil
}

// copyContent copies exactly the announced number of bytes: a host file that grew
// or shrank since it was added is an error, not a corrupt tar.
func copyContent(w io.Writer, e *Entry) error {
	r, err := e.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	n, err := io.Copy(w, io.LimitReader(r, e.content.size))
	if err != nil {
		return err
	}
	var more [1]byte
	if extra, _ := r.Read(more[:]); n != e.content.size || extra != 0 {
		return errors.New("its size changed while the image was built")
	}
	return nil
}
