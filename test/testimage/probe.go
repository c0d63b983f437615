package testimage

import (
	"bytes"
	"encoding/binary"
)

// ProbeLine is what ProbeInit writes to the console.
const ProbeLine = "stek-probe: user space reached"

// ProbeInit gives an ELF program for x86-64 that writes ProbeLine to the console and
// waits for ever. It is the smallest first process: a probe of the accelerator needs no
// Go tool chain and nothing that could fail for another reason.
func ProbeInit() []byte {
	const base = 0x400000
	const headers = 64 + 56 // ELF header and one program header
	message := ProbeLine + "\n"
	code := []byte{
		0xb8, 1, 0, 0, 0, // mov eax, 1 (write)
		0xbf, 1, 0, 0, 0, // mov edi, 1 (the console, which the kernel opened)
		0x48, 0x8d, 0x35, 16, 0, 0, 0, // lea rsi, [rip+16]: the message
		0xba, byte(len(message)), 0, 0, 0, // mov edx, length
		0x0f, 0x05, // syscall
		0xb8, 34, 0, 0, 0, // mov eax, 34 (pause)
		0x0f, 0x05, // syscall
		0xeb, 0xf7, // jmp to the second mov
	}
	size := uint64(headers + len(code) + len(message))
	var out bytes.Buffer
	write := func(values ...any) {
		for _, v := range values {
			binary.Write(&out, binary.LittleEndian, v) // a bytes.Buffer takes everything
		}
	}
	// ELF-64 object file format, version 1.5: 64-bit, little endian, executable, x86-64.
	write([]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		uint16(2), uint16(62), uint32(1), uint64(base+headers), uint64(64), uint64(0),
		uint32(0), uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0))
	// One loadable segment, readable and executable, over the whole file.
	write(uint32(1), uint32(5), uint64(0), uint64(base), uint64(base), size, size, uint64(4096))
	write(code, []byte(message))
	return out.Bytes()
}
