package installer

import (
	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/vault"
)

// secrets are made while the volume is made and live only in memory: on the disk
// they are inside the volume, on the stick the recovery key is encrypted.
type secrets struct {
	recovery    vault.RecoveryKey
	maintenance []byte
	tunnel      preseed.Secret // private key, where the node has a tunnel
}

func (s *secrets) wipe() {
	clear(s.maintenance)
	*s = secrets{}
}

// Person is whoever stands at the machine.
type Person = console.Person
