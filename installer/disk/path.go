package disk

import "fmt"

// PartitionPath names the node of a partition: the kernel puts a "p" between the
// disk's name and the number when the name ends in a digit.
func PartitionPath(disk string, number int) string {
	if n := len(disk); n > 0 && disk[n-1] >= '0' && disk[n-1] <= '9' {
		return fmt.Sprintf("%sp%d", disk, number)
	}
	return fmt.Sprintf("%s%d", disk, number)
}
