package localhub

import "time"

// Fault is a kind of misbehaviour of the network or of the Hub.
type Fault string

// Network says how the Hub misbehaves.
type Network struct {
	Latency             time.Duration     // added to each answer
	Bandwidth           int64             // bytes a second in all; 0 is unlimited
	ConnectionBandwidth int64             // bytes a second for each connection; 0 is unlimited
	Faults              map[Fault]float64 // probability of each fault
	URLTTL              time.Duration     // how long a signed URL is valid; 0 is one hour
	Seed                int64             // of the random choices
}
