// Command init is the first process of the guests in the tests of package vm. It takes
// commands from the console and prints one line for each.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/test/guest/inside"
)

// commands are what a test can type.
var commands = map[string]func(argument string) (string, error){
	"pcr":     readPCR,
	"extend":  extendPCR,
	"define":  defineNV,
	"nv":      readNV,
	"ekcert":  ekCertificate,
	"disk":    func(serial string) (string, error) { return inside.DiskBySerial(serial, 1e9) },
	"blocks":  blocks,
	"read":    readDisk,
	"write":   writeDisk,
	"shout":   shout,
	"colours": func(string) (string, error) { return "\x1b[1;32mgreen\x1b[0m and \x1b[31mred\x1b[m", nil },
	"panic":   func(string) (string, error) { os.Exit(3); return "", nil },
	"reboot":  func(string) (string, error) { inside.Reboot(); return "", nil },
	"off":     func(string) (string, error) { inside.PowerOff(); return "", nil },
}

func main() {
	if err := inside.Setup(); err != nil {
		fmt.Println("setup failed:", err)
	}
	fmt.Printf("hello from pid %d\n", os.Getpid())
	lines := bufio.NewScanner(os.Stdin)
	for {
		fmt.Print("ready> ")
		if !lines.Scan() {
			fmt.Println("the console has ended:", lines.Err())
			inside.PowerOff()
		}
		name, argument, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		do, ok := commands[name]
		if !ok {
			fmt.Printf("no command %q\n", name)
			continue
		}
		answer, err := do(argument)
		if err != nil {
			answer = "error: " + err.Error()
		}
		fmt.Printf("%s = %s\n", name, answer)
	}
}

const nvIndex = tpm2.TPMHandle(0x01800100)

func withTPM(do func(transport.TPM) (string, error)) (string, error) {
	tpm, err := linuxtpm.Open("/dev/tpmrm0")
	if err != nil {
		return "", err
	}
	defer tpm.Close()
	return do(tpm)
}

func readPCR(number string) (string, error) {
	var n uint
	if _, err := fmt.Sscan(number, &n); err != nil {
		return "", err
	}
	return withTPM(func(tpm transport.TPM) (string, error) {
		answer, err := tpm2.PCRRead{PCRSelectionIn: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
			{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(n)},
		}}}.Execute(tpm)
		if err != nil {
			return "", err
		}
		if len(answer.PCRValues.Digests) != 1 {
			return "", errors.New("no such PCR")
		}
		return fmt.Sprintf("%x", answer.PCRValues.Digests[0].Buffer), nil
	})
}

func extendPCR(number string) (string, error) {
	var n uint32
	if _, err := fmt.Sscan(number, &n); err != nil {
		return "", err
	}
	return withTPM(func(tpm transport.TPM) (string, error) {
		_, err := tpm2.PCRExtend{
			PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(n), Auth: tpm2.PasswordAuth(nil)},
			Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: make([]byte, 32)}}},
		}.Execute(tpm)
		return "done", err
	})
}

func defineNV(text string) (string, error) {
	return withTPM(func(tpm transport.TPM) (string, error) {
		public := tpm2.New2B(tpm2.TPMSNVPublic{
			NVIndex: nvIndex, NameAlg: tpm2.TPMAlgSHA256, DataSize: uint16(len(text)),
			Attributes: tpm2.TPMANV{OwnerWrite: true, OwnerRead: true, AuthRead: true, AuthWrite: true, NoDA: true, NT: tpm2.TPMNTOrdinary},
		})
		if _, err := (tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, PublicInfo: public}).Execute(tpm); err != nil {
			return "", err
		}
		name, _, err := nvName(tpm, nvIndex)
		if err != nil {
			return "", err
		}
		_, err = tpm2.NVWrite{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: nvIndex, Name: name},
			Data:       tpm2.TPM2BMaxNVBuffer{Buffer: []byte(text)},
		}.Execute(tpm)
		return "done", err
	})
}

func nvName(tpm transport.TPM, index tpm2.TPMHandle) (tpm2.TPM2BName, uint16, error) {
	answer, err := tpm2.NVReadPublic{NVIndex: index}.Execute(tpm)
	if err != nil {
		return tpm2.TPM2BName{}, 0, err
	}
	public, err := answer.NVPublic.Contents()
	if err != nil {
		return tpm2.TPM2BName{}, 0, err
	}
	return answer.NVName, public.DataSize, nil
}

// ekCertificate gives the size of the certificate of the RSA 2048 endorsement key (TCG EK
// Credential Profile 2.5, section 2.2.1.4).
func ekCertificate(string) (string, error) {
	return withTPM(func(tpm transport.TPM) (string, error) {
		_, size, err := nvName(tpm, 0x01c00002)
		return fmt.Sprintf("%d bytes", size), err
	})
}

func readNV(string) (string, error) {
	return withTPM(func(tpm transport.TPM) (string, error) {
		name, size, err := nvName(tpm, nvIndex)
		if err != nil {
			return "", err
		}
		answer, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: nvIndex, Name: name}, Size: size,
		}.Execute(tpm)
		if err != nil {
			return "", err
		}
		return string(answer.Data.Buffer), nil
	})
}

func blocks(string) (string, error) {
	entries, err := os.ReadDir("/sys/block")
	if err != nil {
		return "", err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " "), nil
}

func readDisk(device string) (string, error) {
	f, err := os.Open(device)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data := make([]byte, 32)
	if _, err := io.ReadFull(f, data); err != nil {
		return "", err
	}
	return strings.TrimRight(string(data), "\x00"), nil
}

func writeDisk(argument string) (string, error) {
	device, text, _ := strings.Cut(argument, " ")
	f, err := os.OpenFile(device, os.O_RDWR|unix.O_SYNC, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return "done", err
}

// shout brings the network card up and sends one packet of a private protocol.
func shout(name string) (string, error) {
	card, err := net.InterfaceByName(name)
	if err != nil {
		return "", err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return "", err
	}
	request.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return "", err
	}
	frame := append([]byte{255, 255, 255, 255, 255, 255}, card.HardwareAddr...)
	frame = append(frame, 0x88, 0xb5) // local experimental EtherType, IEEE 802-2014
	frame = append(frame, make([]byte, 50)...)
	return "done", unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: card.Index})
}
