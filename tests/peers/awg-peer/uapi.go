// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/ipc"
)

// A control answers on the configuration socket: AmneziaWG's keys are ours, all others the library's.
type control struct {
	device *device.Device
	bind   *bind
	log    *device.Logger
}

var errInvalid = errors.New("invalid value")

func (c *control) serve(socket net.Conn) {
	defer socket.Close()
	reader := bufio.NewReader(socket)
	for {
		operation, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		lines, err := readLines(reader)
		if err != nil {
			return
		}
		var answer string
		switch operation {
		case "set=1\n":
			err = c.set(lines)
		case "get=1\n":
			answer, err = c.get()
		default:
			return
		}
		if _, err := fmt.Fprintf(socket, "%serrno=%d\n\n", answer, number(err)); err != nil {
			return
		}
	}
}

// readLines reads up to the empty line that ends an operation.
func readLines(reader *bufio.Reader) (lines []string, err error) {
	for {
		line, err := reader.ReadString('\n')
		if line = strings.TrimSuffix(line, "\n"); err != nil || line == "" {
			return lines, err
		}
		lines = append(lines, line)
	}
}

func number(err error) int64 {
	var theirs *device.IPCError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &theirs):
		return theirs.ErrorCode()
	case errors.Is(err, errInvalid):
		return ipc.IpcErrorInvalid
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ipc.IpcErrorProtocol
	}
	return ipc.IpcErrorUnknown
}

// set validates what is ours, then lets the keyring know everybody whom the library may write to in
// the course of it, then hands over the rest.
func (c *control) set(lines []string) error {
	profiles, rest, err := c.takeParams(lines)
	if err != nil {
		c.log.Errorf("%v", err)
		return fmt.Errorf("%w: %w", errInvalid, err)
	}
	if profiles != nil {
		c.bind.use(profiles)
	}
	c.learn(rest)
	err = c.device.IpcSet(strings.Join(rest, "\n") + "\n\n")
	if state, getErr := c.device.IpcGet(); getErr == nil {
		c.bind.keys.keep(c.learn(strings.Split(state, "\n")))
	}
	return err
}

// takeParams splits a set into the profiles that it makes, nil when it says nothing about them, and
// the lines of the library.
func (c *control) takeParams(lines []string) (profiles []*params, rest []string, err error) {
	changed, isPeer := append([]*params(nil), c.bind.current()...), false
	changed[0] = changed[0].clone()
	isChanged := false
	for _, line := range lines {
		key, value, _ := strings.Cut(line, "=")
		isPeer = isPeer || key == "public_key"
		switch {
		case !isPeer && isParam(key):
			isChanged = true
			err = changed[0].set(key, value)
		case !isPeer && key == "culvert_profile":
			var further *params
			further, err = parseProfile(value)
			isChanged, changed = true, replace(changed, further)
		case key == "persistent_keepalive_interval":
			lo, _, _ := strings.Cut(value, "-") // the library knows no ranges
			rest = append(rest, key+"="+lo)
		default:
			rest = append(rest, line)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if !isChanged {
		return nil, rest, nil
	}
	return changed, rest, changed[0].check()
}

// parseProfile reads "NAME key=value key=value …", the form in which Culvert takes a further
// profile. Blanks inside <…> belong to the value.
func parseProfile(text string) (*params, error) {
	words, depth := []string{""}, 0
	for _, letter := range text {
		switch {
		case letter == ' ' && depth == 0:
			words = append(words, "")
			continue
		case letter == '<':
			depth++
		case letter == '>':
			depth--
		}
		words[len(words)-1] += string(letter)
	}
	p := newParams()
	p.name = words[0]
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		if !isParam(key) {
			return nil, fmt.Errorf("%q is no parameter", key)
		}
		if err := p.set(key, value); err != nil {
			return nil, err
		}
	}
	return p, p.check()
}

// replace puts a further profile in the place of the one of its name, or last.
func replace(profiles []*params, further *params) []*params {
	for i := 1; i < len(profiles); i++ {
		if profiles[i].name == further.name {
			profiles[i] = further
			return profiles
		}
	}
	return append(profiles, further)
}

// learn takes keys out of lines of a set or of a get, and returns those of peers.
func (c *control) learn(lines []string) map[[32]byte]bool {
	publics := map[[32]byte]bool{}
	for _, line := range lines {
		key, value, _ := strings.Cut(line, "=")
		if key != "private_key" && key != "public_key" {
			continue
		}
		raw, err := hex.DecodeString(value)
		if err != nil || len(raw) != 32 {
			continue // the library will say so
		}
		if key == "public_key" {
			publics[[32]byte(raw)] = true
			c.bind.keys.add([32]byte(raw))
		} else if err := c.bind.keys.setPrivate([32]byte(raw)); err != nil {
			c.log.Errorf("private_key: %v", err)
		}
	}
	return publics
}

// get puts our lines before the first peer.
func (c *control) get() (string, error) {
	state, err := c.device.IpcGet()
	if err != nil {
		return "", err
	}
	own := strings.Join(c.bind.current()[0].lines(), "\n") + "\n" + c.bind.keys.counts()
	at := strings.Index(state, "public_key=")
	if at < 0 {
		at = len(state)
	}
	return state[:at] + own + state[at:], nil
}

func (k *keyring) counts() string {
	k.Lock()
	defer k.Unlock()
	return fmt.Sprintf("cookies_sent=%d\ncookies_received=%d\ncookies_honoured=%d\n",
		k.cookiesSent, k.cookiesReceived, k.cookiesHonoured)
}
