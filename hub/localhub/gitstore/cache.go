package gitstore

import (
	"container/list"
	"sync"
)

// Cache keeps parsed objects of several stores in memory, up to a number of
// bytes, least recently used out first. What it holds can always be read again.
type Cache struct {
	mu    sync.Mutex // guards all; held for map operations only
	max   int64
	size  int64
	items map[cacheKey]*list.Element
	order list.List // most recent first
}

type cacheKey struct {
	store *Store // an object of one repository is none of another's business
	kind  byte
	oid   OID
	path  string
}

type cacheItem struct {
	key   cacheKey
	value any
	size  int64
}

// NewCache makes a cache of at most max bytes.
func NewCache(maxBytes int64) *Cache {
	return &Cache{max: maxBytes, items: map[cacheKey]*list.Element{}}
}

func (c *Cache) get(k cacheKey) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[k]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cacheItem).value, true
}

func (c *Cache) put(k cacheKey, v any, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.items[k]; ok {
		c.remove(e)
	}
	if size > c.max {
		return
	}
	c.items[k] = c.order.PushFront(&cacheItem{k, v, size})
	c.size += size
	for c.size > c.max {
		c.remove(c.order.Back())
	}
}

func (c *Cache) remove(e *list.Element) {
	it := c.order.Remove(e).(*cacheItem)
	delete(c.items, it.key)
	c.size -= it.size
}
