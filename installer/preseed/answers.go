package preseed

// Answers is one answer file: what a person decided about one box. Its keys are
// the kebab-case words of the file. A pointer or an empty string means that the
// file did not say; Defaults fills those in.
type Answers struct {
	Version    int        `yaml:"stek" json:"stek"` // format version, always 1
	Node       Node       `yaml:"node" json:"node"`
	Disk       Disk       `yaml:"disk" json:"disk"`
	Boot       Boot       `yaml:"boot" json:"boot"`
	Encryption Encryption `yaml:"encryption" json:"encryption"`
	Network    Network    `yaml:"network" json:"network"`
	Power      Power      `yaml:"power" json:"power,omitzero"`
	K3s        K3s        `yaml:"k3s" json:"k3s"`
	Fleet      *Fleet     `yaml:"fleet" json:"fleet,omitempty"` // nil: no hub
	Site       Site       `yaml:"site" json:"site,omitzero"`
	Secrets    Secrets    `yaml:"secrets" json:"secrets,omitzero"`
	Ask        []string   `yaml:"ask" json:"ask,omitempty"`   // keys that a person is asked for
	OnFinish   string     `yaml:"on-finish" json:"on-finish"` // reboot | poweroff | stay
}

// Node names the box and says who may log in.
type Node struct {
	Name     string `yaml:"name" json:"name"` // host name; may hold {serial}, {mac}, {site}: see Expand
	Site     string `yaml:"site" json:"site,omitempty"`
	Language string `yaml:"language" json:"language,omitempty"`
	Keyboard string `yaml:"keyboard" json:"keyboard,omitempty"`
	Timezone string `yaml:"timezone" json:"timezone,omitempty"`
	Admin    Admin  `yaml:"admin" json:"admin"`
}

// Admin is the login of the person who looks after the box. Without SSH keys and
// without a password hash nobody can log in, which is the default.
type Admin struct {
	SSHKeys      []string `yaml:"ssh-keys" json:"ssh-keys,omitempty"`
	PasswordHash Secret   `yaml:"password-hash" json:"password-hash,omitempty"` // crypt(3), never a plain password
}

// Disk says which disk may be used and what may be erased.
type Disk struct {
	Match     Match `yaml:"match" json:"match"`
	Erase     bool  `yaml:"erase" json:"erase"`         // consent to lose what is on the disk
	Reinstall bool  `yaml:"reinstall" json:"reinstall"` // consent to lose an installed stek as well
}

// Match selects one disk. Every given field must fit; none given matches every
// disk that is not the boot medium, and then exactly one must be left.
type Match struct {
	Serial     string `yaml:"serial" json:"serial,omitempty"` // pattern for MatchGlob
	Model      string `yaml:"model" json:"model,omitempty"`   // pattern for MatchGlob
	Bus        string `yaml:"bus" json:"bus,omitempty"`       // nvme | sata | scsi | usb | mmc | virtio
	MinSize    Bytes  `yaml:"min-size" json:"min-size,omitempty"`
	MaxSize    Bytes  `yaml:"max-size" json:"max-size,omitempty"`
	Rotational *bool  `yaml:"rotational" json:"rotational,omitempty"`
}

// Boot says what may be done to the firmware's Secure Boot set-up.
type Boot struct {
	SecureBoot    string `yaml:"secure-boot" json:"secure-boot"`                 // keep | enrol
	MicrosoftKeys *bool  `yaml:"microsoft-keys" json:"microsoft-keys,omitempty"` // keep Microsoft's CA when enrolling (default true: option ROMs)
}

// Encryption says how the private volume is unlocked.
type Encryption struct {
	Unlock   []string `yaml:"unlock" json:"unlock"` // in order: tpm2 | tang | board | passphrase | key-stick
	TPM2     TPM2     `yaml:"tpm2" json:"tpm2"`
	Tang     *Tang    `yaml:"tang" json:"tang,omitempty"` // with the method tang
	Recovery Recovery `yaml:"recovery" json:"recovery"`
}

// TPM2 holds the options of the tpm2 unlock method.
type TPM2 struct {
	PIN Secret `yaml:"pin" json:"pin,omitempty"` // "ask", or the PIN itself; empty means none
}

// Tang names the server of the tang unlock method.
type Tang struct {
	URL        string `yaml:"url" json:"url"`
	Thumbprint string `yaml:"thumbprint" json:"thumbprint"` // RFC 7638 with SHA-256, base64url
}

// Recovery says what happens to the recovery key, which is always made.
type Recovery struct {
	Recipient string `yaml:"recipient" json:"recipient,omitempty"` // age1…, the key is encrypted to it
	Show      bool   `yaml:"show" json:"show"`                     // show it once on the screen and wait for a person
	Escrow    bool   `yaml:"escrow" json:"escrow,omitempty"`       // the hub keeps the encrypted one, too
}

// Power says how the box saves power.
type Power struct {
	Profile string `yaml:"profile" json:"profile,omitempty"` // performance | balanced | saver
	Night   Window `yaml:"night" json:"night,omitzero"`
}

// K3s is the node's part in its cluster.
type K3s struct {
	Role    string            `yaml:"role" json:"role"`               // server | server-join | agent
	Server  string            `yaml:"server" json:"server,omitempty"` // https URL, with server-join and agent
	Token   Secret            `yaml:"token" json:"token,omitempty"`   // with server-join and agent
	Labels  map[string]string `yaml:"labels" json:"labels,omitempty"`
	Taints  []string          `yaml:"taints" json:"taints,omitempty"`
	Disable []string          `yaml:"disable" json:"disable,omitempty"` // packaged components left out
}

// Fleet is the hub that the box reports to.
type Fleet struct {
	Hub   string `yaml:"hub" json:"hub"`       // https URL
	CAPin string `yaml:"ca-pin" json:"ca-pin"` // sha256: and 64 hexadecimal digits
}

// Site is what runs on the site.
type Site struct {
	Stack []string `yaml:"stack" json:"stack,omitempty"`
}

// Secrets names the file that holds the values written secret:NAME.
type Secrets struct {
	File string `yaml:"file" json:"file,omitempty"` // beside the answer file, encrypted with age
}
