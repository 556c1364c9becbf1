// SPDX-License-Identifier: Apache-2.0

package main

import (
	"golang.zx2c4.com/wireguard/tun"
)

// A paddedTun appends zeros to packets on their way into the tunnel: padding inside the AEAD, which
// the library knows only up to the next multiple of 16.
type paddedTun struct {
	tun.Device
	bind *bind
}

func (t *paddedTun) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	n, err := t.Device.Read(bufs, sizes, offset)
	p := t.bind.current()[0]
	if p.contentPadding.hi == 0 && !p.hasTrailers {
		return n, err
	}
	mtu, mtuErr := t.Device.MTU()
	for i := 0; i < n && mtuErr == nil; i++ {
		if added := p.addition(sizes[i], mtu); added > 0 && sizes[i] > 0 {
			end := offset + sizes[i]
			clear(bufs[i][end : end+added])
			sizes[i] += added
		}
	}
	return n, err
}

// addition draws how many zeros follow a packet.
func (p *params) addition(size, mtu int) int {
	if size >= mtu {
		return 0
	}
	if p.contentPadding.hi != 0 {
		return min(int(p.contentPadding.draw()), mtu-size)
	}
	room := firstWindow - p.pad[transport] - messageSize[transport] - size
	if room <= 0 {
		return 0
	}
	return min(int(span{0, uint32(room - 1)}.draw()), mtu-size)
}
