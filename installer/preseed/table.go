package preseed

import "slices"

// FormatVersion is the value of the key stek that this version reads.
const FormatVersion = 1

// keyTable is the whole format. Its names are fixed; a key never changes its
// meaning within one FormatVersion. What this version does not carry out yet is
// listed in notBuilt.
var keyTable = slices.Concat(boxTable, networkTable, clusterTable)

// boxTable says what the box is called, which disk it gets and how that is opened.
var boxTable = []Key{
	{Path: "stek", Type: Number, Required: true, rule: checkVersion, Example: "1",
		Description: "The version of the answer file's format, always 1."},

	{Path: "node", Type: Section, Description: "What the box is called, how it speaks, and who may log in."},
	{Path: "node.name", Type: Text, Default: `"stek-{serial}"`, Example: `"kas-{serial}"`, rule: checkNodeName,
		Description: "Host name and Kubernetes node name. {serial} is the machine's serial number, {mac} the MAC address of its first network card without colons, {site} the value of node.site."},
	{Path: "node.site", Type: Text, Example: "westland-3", rule: checkSite,
		Description: "The place the box stands at; {site} in node.name."},
	{Path: "node.language", Type: Text, Default: "en", Example: "nl", rule: checkLanguage,
		Description: "Language of screens and reports, as a BCP 47 tag."},
	{Path: "node.keyboard", Type: Text, Default: "us", Example: "us", rule: checkKeyboard,
		Description: "Keyboard of the console, by its Linux keymap name; also used where a PIN or passphrase is typed at start."},
	{Path: "node.timezone", Type: Text, Default: "UTC", Example: "Europe/Amsterdam", rule: checkTimezone,
		Description: "Time zone by its tz database name."},
	{Path: "node.admin", Type: Section, Description: "The login of the person who looks after the box. Without a key and without a password hash nobody can log in."},
	{Path: "node.admin.ssh-keys", Type: List, Example: `["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx3sVYZRWVnhvbXjUbuaBRVHAGrLGwiDgDDpGKvEnKW office"]`, rule: checkSSHKey,
		Description: "Public keys that may log in over SSH, one line each, as in an authorized_keys file."},
	{Path: "node.admin.password-hash", Type: Text, Secret: true, Example: `"$y$j9T$mIn0Mz0DrbvKE8Gbt5ohi.$XrWnLqLEPYvX0dVJmHlUYbFGxJrkGqJYOUZ1l0yLbQ5"`, rule: checkPasswordHash,
		Description: "Password for the console as a crypt(3) hash, made with `mkpasswd -m yescrypt`. Never the password itself."},

	{Path: "disk", Type: Section, Description: "Which disk is used, and what on it may be lost."},
	{Path: "disk.match", Type: Section,
		Description: "Every given line must fit the disk. Without any, every disk fits but the one the installer was started from. Exactly one disk must be left."},
	{Path: "disk.match.serial", Type: Text, Example: `"S4EV*"`, rule: checkGlob,
		Description: "Serial number of the disk; * stands for anything, ? for one character."},
	{Path: "disk.match.model", Type: Text, Example: `"Samsung*"`, rule: checkGlob,
		Description: "Model name of the disk; * stands for anything, ? for one character."},
	{Path: "disk.match.bus", Type: Text, Example: "nvme", Values: []string{"nvme", "sata", "scsi", "usb", "mmc", "virtio"},
		Description: "How the disk is attached."},
	{Path: "disk.match.min-size", Type: Size, Example: "32GB", rule: checkSize,
		Description: "Smallest disk that fits, with a unit: GB counts in powers of 1000, GiB in powers of 1024."},
	{Path: "disk.match.max-size", Type: Size, Example: "2TB", rule: checkSize,
		Description: "Largest disk that fits, with a unit."},
	{Path: "disk.match.rotational", Type: Switch, Example: "false",
		Description: "true: only spinning disks. false: only disks without moving parts."},
	{Path: "disk.erase", Type: Switch, Default: "false", Example: "true",
		Description: "Consent to lose everything on the chosen disk. Without it only an empty disk is used."},
	{Path: "disk.reinstall", Type: Switch, Default: "false", Example: "true",
		Description: "Consent to lose an installed stek as well. Without it a stick left in the box never installs twice. Needs disk.erase."},

	{Path: "boot", Type: Section, Description: "What may be done to the firmware's Secure Boot."},
	{Path: "boot.secure-boot", Type: Text, Default: "keep", Example: "enrol", Values: []string{"keep", "enrol"},
		Description: "keep: leave Secure Boot as it is. enrol: put the image's own keys into the firmware; it must be in setup mode."},
	{Path: "boot.microsoft-keys", Type: Switch, Default: "true", Example: "true",
		Description: "Keep Microsoft's certificates when enrolling: cards with an option ROM need them. Only with secure-boot: enrol."},

	{Path: "encryption", Type: Section, Description: "How the private volume is unlocked, and what opens it when nothing else does."},
	{Path: "encryption.unlock", Type: List, Default: "[tpm2]", Example: "[tpm2]",
		Values:      []string{"tpm2", "tang", "board", "passphrase", "key-stick"},
		Description: "Unlock methods in the order in which they are tried. A method that the machine cannot do stops the installation."},
	{Path: "encryption.tpm2", Type: Section, Description: "Options of the method tpm2."},
	{Path: "encryption.tpm2.pin", Type: Text, Secret: true, Example: "ask", rule: checkPIN,
		Description: "A PIN of 6 to 128 characters that the TPM wants at every start, in quotes; ask: typed at the box during installation. Needs tpm2 in encryption.unlock."},
	{Path: "encryption.tang", Type: Section,
		Description: "Options of the method tang: a server at the site without which the disk stays closed."},
	{Path: "encryption.tang.url", Type: Text, Required: true, Example: `"http://10.0.0.5"`, rule: checkTangURL,
		Description: "Address of the Tang server."},
	{Path: "encryption.tang.thumbprint", Type: Text, Required: true, Example: `"x100_1k6GPiDOaMlL3WbpCjHOy9ul1bSfdhI3M08wO0"`, rule: checkThumbprint,
		Description: "Thumbprint of the Tang server's signing key, as tang-show-keys prints it."},
	{Path: "encryption.recovery", Type: Section, Description: "The recovery key, which is always made. A file must say who gets it."},
	{Path: "encryption.recovery.recipient", Type: Text, Example: `"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"`, rule: checkRecipient,
		Description: "age public key that the recovery key is encrypted to; the file lands on the stick."},
	{Path: "encryption.recovery.show", Type: Switch, Default: "false", Example: "true",
		Description: "Show the recovery key once on the screen and wait until a person has confirmed it."},
	{Path: "encryption.recovery.escrow", Type: Switch, Default: "false", Example: "true",
		Description: "Keep the recovery key, encrypted to the recipient, at the hub as well. Needs recipient and fleet.hub."},
}
