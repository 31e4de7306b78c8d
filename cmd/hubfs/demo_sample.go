package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/hubfs/hubfs/hub/localhub"
)

// The demo's Hub has a dataset, the planets of the solar system, and a model that was fitted to it: the
// line through the logarithms of distance and period, which is Kepler's third law.
const (
	demoUser    = "demo"
	demoDataset = "demo/planets"
	demoModel   = "demo/kepler"
)

// planet is a row of the dataset.
type planet struct {
	name   string
	au     float64 // semi-major axis
	years  float64 // orbital period
	earths float64 // mass
	km     float64 // mean radius
	moons  int     // that have a name
}

var planets = []planet{
	{"Mercury", 0.3871, 0.2408, 0.0553, 2439.7, 0},
	{"Venus", 0.7233, 0.6152, 0.815, 6051.8, 0},
	{"Earth", 1.0000, 1.0000, 1, 6371.0, 1},
	{"Mars", 1.5237, 1.8808, 0.107, 3389.5, 2},
	{"Jupiter", 5.2029, 11.862, 317.83, 69911, 57},
	{"Saturn", 9.5367, 29.447, 95.16, 58232, 66},
	{"Uranus", 19.189, 84.017, 14.54, 25362, 27},
	{"Neptune", 30.070, 164.79, 17.15, 24622, 16},
}

const datasetCard = `---
license: cc0-1.0
pretty_name: Planets of the solar system
tags:
- astronomy
---
# Planets of the solar system

Distance from the Sun (semi-major axis, astronomical units), orbital period (years), mass (Earths),
mean radius (km) and number of named moons. ` + "`planets.csv` and `planets.jsonl`" + ` hold the same rows.
`

const modelCard = `---
license: cc0-1.0
datasets:
- demo/planets
tags:
- astronomy
- safetensors
---
# Kepler's third law, fitted

    log(years) = weight * log(astronomical units) + bias

by least squares over [demo/planets](https://huggingface.co/datasets/demo/planets). Kepler says that the
weight is 3/2 and the bias 0. ` + "`python3 predict.py 2.77`" + ` gives the period of Ceres.
`

// predictScript loads the weights with nothing but Python itself; libraries do it in one line.
const predictScript = `import json, math, os, struct, sys

# The same by library: safetensors.numpy.load_file("model.safetensors")
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "model.safetensors"), "rb") as f:
    (n,) = struct.unpack("<Q", f.read(8))
    header = json.loads(f.read(n))
    data = f.read()

def tensor(name):
    start, end = header[name]["data_offsets"]
    return struct.unpack("<f", data[start:end])[0]

au = float(sys.argv[1])
years = math.exp(tensor("weight") * math.log(au) + tensor("bias"))
print(f"{au} astronomical units from the Sun: {years:.2f} years")
`

func planetsCSV() []byte {
	var b bytes.Buffer
	b.WriteString("name,distance_au,period_years,mass_earths,radius_km,moons\n")
	for _, p := range planets {
		fmt.Fprintf(&b, "%s,%g,%g,%g,%g,%d\n", p.name, p.au, p.years, p.earths, p.km, p.moons)
	}
	return b.Bytes()
}

func planetsJSONL() []byte {
	var b bytes.Buffer
	for _, p := range planets {
		fmt.Fprintf(&b, `{"name": %q, "distance_au": %g, "period_years": %g, "mass_earths": %g, "radius_km": %g, "moons": %d}`+"\n",
			p.name, p.au, p.years, p.earths, p.km, p.moons)
	}
	return b.Bytes()
}

// fitKepler is the line through log(au) and log(years) by least squares.
func fitKepler() (weight, bias float64) {
	var n, sx, sy, sxx, sxy float64
	for _, p := range planets {
		x, y := math.Log(p.au), math.Log(p.years)
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	weight = (n*sxy - sx*sy) / (n*sxx - sx*sx)
	return weight, (sy - weight*sx) / n
}

// scalar is a tensor of one number.
type scalar struct {
	name  string
	value float64
}

// safetensors writes float32 tensors of shape [1] in that format: the length of a JSON header, the header,
// the numbers. Names are in the order of their offsets.
func safetensors(tensors []scalar, metadata map[string]string) ([]byte, error) {
	header := map[string]any{"__metadata__": metadata}
	var data []byte
	for _, t := range tensors {
		from := len(data)
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(t.value)))
		header[t.name] = map[string]any{"dtype": "F32", "shape": []int{1}, "data_offsets": []int{from, len(data)}}
	}
	h, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	h = append(h, strings.Repeat(" ", (8-len(h)%8)%8)...) // the data begin at a multiple of 8
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(h)))
	return append(append(out, h...), data...), nil
}

// fillDemo puts the sample into the Hub.
func fillDemo(h *localhub.Hub) error {
	if err := h.CreateRepo(localhub.Dataset, demoDataset, localhub.RepoOptions{}); err != nil {
		return err
	}
	if _, err := h.Commit(localhub.Dataset, demoDataset, "main", localhub.CommitInput{
		Author: demoUser, Title: "Add the planets", Operations: []localhub.Operation{
			add("README.md", datasetCard),
			add("planets.csv", string(planetsCSV())),
			add("planets.jsonl", string(planetsJSONL())),
		},
	}); err != nil {
		return err
	}
	if err := h.CreateRepo(localhub.Model, demoModel, localhub.RepoOptions{}); err != nil {
		return err
	}
	weight, bias := fitKepler()
	weights, err := safetensors([]scalar{{"weight", weight}, {"bias", bias}}, map[string]string{"format": "np"})
	if err != nil {
		return err
	}
	ref, err := h.PutLFS(bytes.NewReader(weights))
	if err != nil {
		return err
	}
	_, err = h.Commit(localhub.Model, demoModel, "main", localhub.CommitInput{
		Author: demoUser, Title: "Fit the line", Operations: []localhub.Operation{
			add("README.md", modelCard),
			add("config.json", "{\n  \"model_type\": \"log-linear\",\n  \"input\": \"distance_au\",\n  \"output\": \"period_years\"\n}\n"),
			add("predict.py", predictScript),
			{Kind: localhub.OpAdd, Path: "model.safetensors", LFS: &ref},
		},
	})
	return err
}

func add(path, content string) localhub.Operation {
	return localhub.Operation{Kind: localhub.OpAdd, Path: path, Content: []byte(content)}
}
