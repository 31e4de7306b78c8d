package hub_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/hubfs/hubfs/hub"
)

// A client with what the environment says, as the official one is made.
func ExampleNew() {
	env, err := hub.LoadEnv(os.Getenv)
	if err != nil {
		log.Fatal(err)
	}
	c, err := hub.New(hub.Config{
		Endpoint:           env.Endpoint,
		InferenceEndpoints: env.InferenceEndpoints,
		Token:              hub.EnvTokenSource(os.Getenv, env),
		Offline:            env.Offline,
		LibraryName:        "mytool", LibraryVersion: "1.0",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Endpoint())
}

func ExampleClient_Tree() {
	c, err := hub.New(hub.Config{})
	if err != nil {
		log.Fatal(err)
	}
	repo := hub.Repo{Type: hub.Dataset, ID: "rajpurkar/squad"}
	for entry, err := range c.Tree(context.Background(), repo, "main", "", &hub.TreeOptions{Recursive: true}) {
		switch {
		case errors.Is(err, hub.ErrRepoNotFound):
			log.Fatal("there is no such dataset, or it is private")
		case err != nil:
			log.Fatal(err)
		}
		fmt.Println(entry.Path, entry.Size)
	}
}

// The first kilobyte of a large file, and the next from the same address.
func ExampleClient_OpenFile() {
	c, err := hub.New(hub.Config{})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	file := hub.FileRef{Repo: hub.Repo{Type: hub.Model, ID: "openai-community/gpt2"}, Revision: "main", Path: "model.safetensors"}
	first, err := c.OpenFile(ctx, file, hub.Range{Len: 1024})
	if err != nil {
		log.Fatal(err)
	}
	defer first.Close()
	if _, err := io.Copy(os.Stdout, first); err != nil {
		log.Fatal(err)
	}

	next, err := c.OpenLocation(ctx, first.Location, hub.Range{Off: 1024, Len: 1024})
	if errors.Is(err, hub.ErrLocationExpired) {
		next, err = c.OpenFile(ctx, file, hub.Range{Off: 1024, Len: 1024})
	}
	if err != nil {
		log.Fatal(err)
	}
	defer next.Close()
	if _, err := io.Copy(os.Stdout, next); err != nil {
		log.Fatal(err)
	}
}
