package main

import (
	"io"
	"slices"
	"strings"
	"testing"
)

func TestPermute(t *testing.T) {
	app := newApp(nil, io.Discard, io.Discard)
	for _, tt := range []struct{ in, want string }{
		{"hubfs", "hubfs"},
		{"hubfs --version", "hubfs --version"},
		{"hubfs status /mnt --json", "hubfs status --json -- /mnt"},
		{"hubfs status --json /mnt", "hubfs status --json -- /mnt"},
		{"hubfs mount me/m /mnt --poll 5s -f --uid=3", "hubfs mount --poll 5s -f --uid=3 -- me/m /mnt"},
		{"hubfs mount me/m /mnt -o ro,pin", "hubfs mount -o ro,pin -- me/m /mnt"},
		{"hubfs wait /mnt --commit abc", "hubfs wait --commit abc -- /mnt"},
		{"hubfs api whoami token@=- --jsonl", "hubfs api --jsonl -- whoami token@=-"},
		{"hubfs cache ls --json", "hubfs cache ls --json"},
		{"hubfs cache verify me/m --remove", "hubfs cache verify --remove -- me/m"},
		{"hubfs cache --help", "hubfs cache --help"},
		{"hubfs umount -- --odd", "hubfs umount -- --odd"},
		{"hubfs umount /mnt --help", "hubfs umount --help"},
		{"hubfs api whoami --help", "hubfs api --describe -- whoami"},
		{"hubfs api -h whoami --json", "hubfs api --describe --json -- whoami"},
		{"hubfs api --help", "hubfs api --help"},
		{"hubfs status /mnt --unknown x", "hubfs status --unknown -- /mnt x"},
		{"hubfs mount /mnt --poll", "hubfs mount --poll -- /mnt"},
		{"hubfs nonsense a --b", "hubfs nonsense a --b"},
		{"hubfs api - x=1", "hubfs api -- - x=1"},
	} {
		if got := strings.Join(permute(app, strings.Fields(tt.in)), " "); got != tt.want {
			t.Errorf("%s\n became %s\n want   %s", tt.in, got, tt.want)
		}
	}
}

func TestMountHelper(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		fake     bool
	}{
		{"/usr/bin/hubfs status", "/usr/bin/hubfs status", false},
		{"/sbin/mount.hubfs me/m /mnt -o rw,pin", "hubfs mount me/m /mnt -o rw,pin", false},
		{"mount.fuse.hubfs none /mnt -sn -o ro", "hubfs mount none /mnt -o ro", false},
		{"mount.hubfs me/m /mnt -fv", "hubfs mount me/m /mnt", true},
		{"mount.hubfs me/m /mnt -t hubfs -o ro", "hubfs mount me/m /mnt -o ro", false},
	} {
		got, fake := fromMountHelper(strings.Fields(tt.in))
		if !slices.Equal(got, strings.Fields(tt.want)) || fake != tt.fake {
			t.Errorf("%s became %q, %v", tt.in, got, fake)
		}
	}
}

func TestReadUsers(t *testing.T) {
	users, err := readUsers(strings.NewReader("# people\n\nalice=hf_a\n bob = hf_b \n"))
	if err != nil || len(users) != 2 || users[1].Name != "bob" || users[1].Token != "hf_b" {
		t.Errorf("got %+v, %v", users, err)
	}
	if u, ok := parseUser("carol=hf_c  read"); !ok || u.Token != "" || len(u.Tokens) != 1 || u.Tokens[0].Value != "hf_c" || u.Tokens[0].Role != "read" {
		t.Errorf("got %+v, %v", u, ok)
	}
	for _, bad := range []string{"carol=hf_c admin", "carol=", "=hf_c", "carol"} {
		if u, ok := parseUser(bad); ok {
			t.Errorf("%q: got %+v", bad, u)
		}
	}
	if _, err := readUsers(strings.NewReader("alice=hf_a\nsecret-without-name\n")); err == nil || !strings.Contains(err.Error(), "line 2") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestSizes(t *testing.T) {
	for in, want := range map[string]int64{"": 0, "0": 0, "10": 10, "200G": 200e9, "1GiB": 1 << 30, "25MB": 25e6} {
		if got, err := parseSize("x", in); err != nil || got != want {
			t.Errorf("%q: %d, %v", in, got, err)
		}
	}
	for _, bad := range []string{"-1", "many", "10 parsecs", "1e99"} {
		if got, err := parseSize("x", bad); err == nil {
			t.Errorf("%q: %d", bad, got)
		}
	}
}
