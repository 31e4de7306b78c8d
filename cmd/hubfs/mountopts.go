package main

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// genericOptions are those that mount(8), systemd and fstab handle themselves, or that say what is so
// anyway.
var genericOptions = []string{
	"defaults", "rw", "ro", "auto", "noauto", "user", "nouser", "users", "owner", "group", "_netdev", "nofail",
	"async", "sync", "dirsync",
	"atime", "noatime", "relatime", "norelatime", "strictatime", "diratime", "nodiratime", "lazytime", "nolazytime",
	"mand", "nomand", "silent", "loud", "remount", "default_permissions",
}

// kernelNames are the options that the kernel itself heeds.
var kernelNames = []string{"suid", "nosuid", "dev", "nodev", "exec", "noexec"}

// genericPrefixes begin options that carry values for others.
var genericPrefixes = []string{"x-", "X-", "comment=", "fsname=", "subtype=", "context=", "fscontext=", "defcontext=", "rootcontext="}

// applyMountOptions sets the flags that -o names, with - written as _ or as itself.
func applyMountOptions(c *cli.Context) error {
	for _, list := range c.StringSlice("o") {
		for option := range strings.SplitSeq(list, ",") {
			if option = strings.TrimSpace(option); option == "" || isGeneric(option) {
				continue
			}
			name, value, hasValue := strings.Cut(option, "=")
			name = strings.ReplaceAll(name, "_", "-")
			flag := findFlag(c.Command.Flags, name)
			if flag == nil || name == "o" {
				return usagef("-o %s: no such option; see: hubfs mount --help", option)
			}
			if _, isBool := flag.(*cli.BoolFlag); isBool && !hasValue {
				value = "true"
			} else if !hasValue {
				return usagef("-o %s: needs a value: %s=...", option, option)
			}
			if err := c.Set(name, value); err != nil {
				return usagef("-o %s: %v", option, err)
			}
		}
	}
	return nil
}

// wantsReadOnly says whether -o has ro, and no rw behind it.
func wantsReadOnly(c *cli.Context) bool {
	ro := false
	for _, list := range c.StringSlice("o") {
		for option := range strings.SplitSeq(list, ",") {
			switch strings.TrimSpace(option) {
			case "ro":
				ro = true
			case "rw":
				ro = false
			}
		}
	}
	return ro
}

func isGeneric(option string) bool {
	return slices.Contains(genericOptions, option) || slices.Contains(kernelNames, option) ||
		slices.ContainsFunc(genericPrefixes, func(p string) bool { return strings.HasPrefix(option, p) })
}

// kernelOptions are those of -o that go to the kernel.
func kernelOptions(c *cli.Context) []string {
	var out []string
	for _, list := range c.StringSlice("o") {
		for option := range strings.SplitSeq(list, ",") {
			if slices.Contains(kernelNames, strings.TrimSpace(option)) {
				out = append(out, strings.TrimSpace(option))
			}
		}
	}
	return out
}

func findFlag(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// fromMountHelper turns the arguments that mount(8) gives to /sbin/mount.hubfs or mount.fuse.hubfs,
// "SOURCE DIR [-sfnv] [-o OPTIONS]", into those of "hubfs mount". fake is mount -f: do nothing.
func fromMountHelper(args []string) (out []string, fake bool) {
	if len(args) == 0 {
		return []string{"hubfs"}, false
	}
	switch filepath.Base(args[0]) {
	case "mount.hubfs", "mount.fuse.hubfs":
	default:
		return args, false
	}
	out = []string{"hubfs", "mount"}
	for i := 1; i < len(args); i++ {
		word := args[i]
		if word == "-o" || word == "-t" || word == "-N" {
			if i++; i < len(args) && word == "-o" {
				out = append(out, "-o", args[i])
			}
			continue
		}
		if len(word) > 1 && word[0] == '-' && strings.Trim(word[1:], "sfnv") == "" {
			fake = fake || strings.Contains(word, "f")
			continue
		}
		out = append(out, word)
	}
	return out, fake
}
