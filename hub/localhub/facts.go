package localhub

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hubfs/hubfs/hub/localhub/gitstore"
)

// facts are what this Hub finds out about a repository from its files: the metadata of
// its README, and what lies in its root folder. They don't change once they are made.
type facts struct {
	about                 card
	description, citation string   // of the README's text
	tags                  []string // that follow from card and files
	library, pipelineTag  string
	config                map[string]any
	maskToken             string
	transformers          map[string]any
	safetensors           map[string]any
	gguf                  map[string]any
	// parameters are the number of the model's parameters, as far as its files tell.
	parameters int64
	read       int // bytes of the files that all this comes from
}

// factsCache keeps the facts of the commits that were looked at last. A tree of the
// same content has the same facts.
type factsCache struct {
	mu   sync.Mutex // guards what follows
	memo map[factsKey]*facts
	read int // bytes that the facts in memo come from
}

type factsKey struct {
	typ, sdk string
	tree     gitstore.OID
}

// Of how many commits facts are kept, and from how many bytes, which they take up a few
// times over.
const (
	maxFacts     = 4096
	maxFactsRead = 32 << 20
)

func (f *factsCache) get(k factsKey) *facts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.memo[k]
}

func (f *factsCache) put(k factsKey, v *facts) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.memo == nil || len(f.memo) >= maxFacts || f.read+v.read > maxFactsRead {
		f.memo, f.read = map[factsKey]*facts{}, 0
	}
	f.memo[k] = v
	f.read += v.read
}

// facts finds out what a commit's files tell.
func (h *Hub) facts(r *repo, commit *gitstore.Commit) (*facts, error) {
	key := factsKey{r.Type, r.SDK, commit.Tree}
	if f := h.known.get(key); f != nil {
		return f, nil
	}
	root := map[string]*gitstore.Entry{}
	err := r.git.Walk(commit.Tree, false, "", func(name string, e *gitstore.Entry) bool {
		root[name] = e
		return true
	})
	if err != nil {
		return nil, err
	}
	f := &facts{}
	files := rootFiles{h, r, root, &f.read}
	readme, err := files.text("README.md")
	if err != nil {
		return nil, err
	}
	if data, found, err := parseCard(readme); err == nil && found {
		f.about = card{data}
	}
	body := cardBody(readme)
	switch r.Type {
	case Model:
		err = f.ofModel(files)
	case Dataset:
		f.description, f.citation = descriptionOf(body), citationOf(body)
		f.addTags("", formatTags(root)...)
	}
	if err != nil {
		return nil, err
	}
	for _, m := range arxivLink.FindAllSubmatch(body, -1) {
		f.addTags("arxiv:", string(m[1]))
	}
	f.tags = append(f.about.tags(r.repoRec, f), f.tags...)
	f.tags = uniqueStrings(f.tags)
	h.known.put(key, f)
	return f, nil
}

var arxivLink = regexp.MustCompile(`arxiv\.org/(?:abs|pdf)/(\d{4}\.\d{4,5})`)

func (f *facts) addTags(prefix string, values ...string) {
	for _, v := range values {
		if v != "" {
			f.tags = append(f.tags, prefix+v)
		}
	}
}

func uniqueStrings(list []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(s string) bool {
		was := seen[s]
		seen[s] = true
		return was
	})
}

// rootFiles are the files of a commit's root folder.
type rootFiles struct {
	h       *Hub
	r       *repo
	entries map[string]*gitstore.Entry
	read    *int // bytes of what was read
}

// text is a small regular file; nil if there is none of that name.
func (t rootFiles) text(name string) ([]byte, error) {
	e := t.entries[name]
	if e == nil || e.IsDir() || e.LFS != nil || e.Size > maxCard {
		return nil, nil
	}
	o, err := t.r.git.Read(e.OID)
	if err != nil {
		return nil, err
	}
	*t.read += len(o.Content)
	return o.Content, nil
}

// object is a JSON object in a file; nil if there is none.
func (t rootFiles) object(name string) (map[string]any, error) {
	b, err := t.text(name)
	if b == nil || err != nil {
		return nil, err
	}
	var m map[string]any
	_ = json.Unmarshal(b, &m) // else it is a file like any other
	return m, nil
}

// open opens a file, wherever its content lies; nil if there is none.
func (t rootFiles) open(name string) (io.ReadCloser, error) {
	e := t.entries[name]
	if e == nil || e.IsDir() {
		return nil, nil
	}
	if e.LFS != nil {
		f, err := t.h.lfs.open(e.LFS.OID)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return f, err
	}
	o, err := t.r.git.Read(e.OID)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(o.Content)), nil
}

// libraryFiles are the files that tell a library, and its name.
var libraryFiles = []struct{ pattern, library string }{
	{"model_index.json", "diffusers"}, {"adapter_config.json", "peft"}, {"config_sentence_transformers.json", "sentence-transformers"},
	{"pytorch_model*.bin", "pytorch"}, {"*.pt", "pytorch"}, {"*.pth", "pytorch"}, {"tf_model*.h5", "tf"}, {"flax_model*.msgpack", "jax"},
	{"*.onnx", "onnx"}, {"*.safetensors", "safetensors"}, {"*.gguf", "gguf"}, {"*.keras", "keras"}, {"*.joblib", "joblib"},
	{"events.out.tfevents.*", "tensorboard"}, {"*.tflite", "tflite"}, {"*.nemo", "nemo"},
}

// ofModel looks at what a model's files are.
func (f *facts) ofModel(files rootFiles) error {
	names := slices.Sorted(maps.Keys(files.entries))
	for _, l := range libraryFiles {
		if slices.ContainsFunc(names, func(n string) bool { ok, _ := path.Match(l.pattern, n); return ok && !files.entries[n].IsDir() }) {
			f.addTags("", l.library)
			if f.library == "" && (l.library == "diffusers" || l.library == "peft" || l.library == "sentence-transformers") {
				f.library = l.library
			}
		}
	}
	config, err := files.object("config.json")
	if err != nil {
		return err
	}
	tokenizer, err := files.object("tokenizer_config.json")
	if err != nil {
		return err
	}
	f.ofConfig(config, tokenizer)
	if _, ok := f.about.data["model-index"]; ok {
		f.addTags("", "model-index")
	}
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, ".safetensors"):
			err = f.addSafetensors(files, name)
		case strings.HasSuffix(name, ".gguf") && f.gguf == nil:
			err = f.addGGUF(files, name)
		}
		if err != nil {
			return err
		}
	}
	if s, ok := f.about.data["library_name"].(string); ok {
		f.library = s
	}
	if s, ok := f.about.data["pipeline_tag"].(string); ok {
		f.pipelineTag = s
	}
	return nil
}

// architectures are the ends of the names of model classes, with the class that loads
// them and the task that they are for.
var architectures = []struct{ end, auto, task string }{
	{"ForMaskedLM", "AutoModelForMaskedLM", "fill-mask"},
	{"ForCausalLM", "AutoModelForCausalLM", "text-generation"},
	{"LMHeadModel", "AutoModelForCausalLM", "text-generation"},
	{"ForConditionalGeneration", "AutoModelForSeq2SeqLM", "text2text-generation"},
	{"ForSequenceClassification", "AutoModelForSequenceClassification", "text-classification"},
	{"ForTokenClassification", "AutoModelForTokenClassification", "token-classification"},
	{"ForQuestionAnswering", "AutoModelForQuestionAnswering", "question-answering"},
	{"ForImageClassification", "AutoModelForImageClassification", "image-classification"},
	{"ForObjectDetection", "AutoModelForObjectDetection", "object-detection"},
	{"ForCTC", "AutoModelForCTC", "automatic-speech-recognition"},
	{"Model", "AutoModel", "feature-extraction"},
}

// ofConfig reads what transformers keeps beside a model.
func (f *facts) ofConfig(config, tokenizer map[string]any) {
	public := map[string]any{}
	for _, k := range []string{"architectures", "model_type", "auto_map", "quantization_config"} {
		if v, ok := config[k]; ok {
			public[k] = v
		}
	}
	short := map[string]any{}
	for _, k := range []string{"unk_token", "sep_token", "pad_token", "cls_token", "mask_token", "bos_token", "eos_token", "chat_template"} {
		v := tokenizer[k]
		if m, ok := v.(map[string]any); ok {
			v = m["content"]
		}
		if v != nil {
			short[k] = v
		}
	}
	f.maskToken, _ = short["mask_token"].(string)
	if len(short) > 0 {
		public["tokenizer_config"] = short
	}
	if len(public) > 0 {
		f.config = public
	}
	kind, _ := config["model_type"].(string)
	if kind == "" {
		return
	}
	f.addTags("", "transformers", kind)
	if f.library == "" {
		f.library = "transformers"
	}
	list, _ := config["architectures"].([]any)
	if len(list) == 0 {
		return
	}
	class, _ := list[0].(string)
	for _, a := range architectures {
		if strings.HasSuffix(class, a.end) {
			f.transformers = map[string]any{"auto_model": a.auto, "pipeline_tag": a.task}
			if tokenizer != nil {
				f.transformers["processor"] = "AutoTokenizer"
			}
			f.pipelineTag = a.task
			return
		}
	}
}

// maxSafetensorsHeader is the largest header that is read, as in the clients.
const maxSafetensorsHeader = 25 << 20

// addSafetensors counts the parameters of a file by their types. A file that isn't
// what its name says counts nothing.
func (f *facts) addSafetensors(files rootFiles, name string) error {
	r, err := files.open(name)
	if r == nil || err != nil {
		return err
	}
	defer r.Close()
	var size [8]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil //nolint:nilerr // see above
	}
	n := binary.LittleEndian.Uint64(size[:])
	if n > maxSafetensorsHeader {
		return nil
	}
	var header map[string]json.RawMessage
	if json.NewDecoder(io.LimitReader(r, int64(n))).Decode(&header) != nil {
		return nil
	}
	counts := map[string]int64{}
	if f.safetensors != nil {
		counts = f.safetensors["parameters"].(map[string]int64)
	}
	for key, raw := range header {
		var tensor struct {
			DType string  `json:"dtype"`
			Shape []int64 `json:"shape"`
		}
		if key == "__metadata__" || json.Unmarshal(raw, &tensor) != nil || tensor.DType == "" {
			continue
		}
		count := int64(1)
		for _, d := range tensor.Shape {
			count = times(count, d)
		}
		counts[tensor.DType] += count
		f.parameters += count
	}
	if len(counts) > 0 {
		f.safetensors = map[string]any{"parameters": counts, "total": f.parameters}
	}
	return nil
}

// times multiplies sizes. What can't be a size of anything, such as a negative one, makes
// nothing of the whole.
func times(a, b int64) int64 {
	if a <= 0 || b <= 0 || a > maxParameters/b {
		return 0
	}
	return a * b
}

// maxParameters is more than a tensor can have.
const maxParameters = 1 << 50

// formats are the formats of datasets by the ends of their files.
var formats = map[string]string{
	".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".arrow": "arrow", ".txt": "text", ".tar": "webdataset",
}

// formatTags tell in what form a dataset's files are.
func formatTags(root map[string]*gitstore.Entry) []string {
	var tags []string
	for name, e := range root {
		if format := formats[path.Ext(name)]; format != "" && !e.IsDir() {
			tags = append(tags, "format:"+format)
		}
	}
	if len(tags) > 0 {
		tags = append(tags, "library:datasets")
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}
