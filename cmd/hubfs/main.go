// Command hubfs mounts Hugging Face Hub repositories as directories.
package main

func main() {}
