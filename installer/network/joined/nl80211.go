//go:build linux

package joined

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/wifi"
	"golang.org/x/sys/unix"
)

// Joined asks the kernel which network a radio has joined. It is so from the association
// on, before the keys are agreed on: the address can be there when the carrier comes. A
// radio that is not there has joined none, and neither has one whose driver is not loaded.
func Joined(radio string) (ssid string, err error) {
	client, err := wifi.New()
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("asking the kernel for radios: %w", err)
	}
	defer client.Close()
	all, err := client.Interfaces()
	if err != nil {
		return "", fmt.Errorf("asking the kernel for radios: %w", err)
	}
	for _, card := range all {
		if card.Name != radio {
			continue
		}
		bss, err := client.BSS(card)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV): // none joined; gone meanwhile
			return "", nil
		case err != nil:
			return "", err
		case bss.Status == wifi.BSSStatusAssociated:
			return bss.SSID, nil
		}
	}
	return "", nil
}

// listenHere fills heard, which has room for one, whenever a radio of this machine may have
// joined or left a network, has come or gone, and whenever that may have been missed. It
// returns when ctx ends.
func listenHere(ctx context.Context, heard chan<- struct{}) {
	listen(ctx, Interval, events, func() {
		select {
		case heard <- struct{}{}:
		default: // one look serves both
		}
	})
}

// source is a stream of events.
type source struct {
	next  func() error
	close func()
}

// listen opens a stream again where it ended, or could not be opened because no radio's
// driver is loaded.
func listen(ctx context.Context, again time.Duration, open func() (source, error), heard func()) {
	for ctx.Err() == nil {
		if s, err := open(); err == nil {
			heard() // nobody listened to what was before
			stop := context.AfterFunc(ctx, s.close)
			hear(s.next, heard)
			if stop() {
				s.close()
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}

// hear goes on until there is no next event. When events came faster than they were read,
// some are lost (netlink(7), ENOBUFS), which is as good as one.
func hear(next func() error, heard func()) {
	for {
		if err := next(); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return
		}
		heard()
	}
}

// events opens the kernel's reports of joining and leaving (mlme), and of radios that come
// and go (config): linux/nl80211.h, "multicast groups".
func events() (source, error) {
	conn, err := genetlink.Dial(nil)
	if err != nil {
		return source{}, err
	}
	family, err := conn.GetFamily(unix.NL80211_GENL_NAME)
	for _, group := range family.Groups {
		if group.Name == unix.NL80211_MULTICAST_GROUP_MLME || group.Name == unix.NL80211_MULTICAST_GROUP_CONFIG {
			err = errors.Join(err, conn.JoinGroup(group.ID))
		}
	}
	if err != nil {
		conn.Close()
		return source{}, err
	}
	return source{
		next:  func() error { _, _, err := conn.Receive(); return err },
		close: func() { conn.Close() },
	}, nil
}
