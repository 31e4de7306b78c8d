package localhub

import (
	"slices"
	"strings"
)

// tagKind is a kind of tag: its name in the answers of tags-by-type, and the tags that
// are always there, without what comes before the value.
type tagKind struct {
	name, prefix string
	fixed        []string
}

// tagKinds are the kinds of tags of models and datasets. Tags that no prefix tells are
// of the kind among whose fixed values they are, else "other".
var tagKinds = map[string][]tagKind{
	Model: {
		{"pipeline_tag", "", []string{
			"audio-classification", "automatic-speech-recognition", "depth-estimation", "document-question-answering", "feature-extraction",
			"fill-mask", "image-classification", "image-segmentation", "image-text-to-text", "image-to-image", "image-to-text",
			"object-detection", "question-answering", "reinforcement-learning", "sentence-similarity", "summarization",
			"table-question-answering", "tabular-classification", "tabular-regression", "text-classification", "text-generation",
			"text-to-audio", "text-to-image", "text-to-speech", "text-to-video", "text2text-generation", "time-series-forecasting",
			"token-classification", "translation", "video-classification", "visual-question-answering", "zero-shot-classification",
			"zero-shot-image-classification",
		}},
		{"library", "", []string{
			"adapter-transformers", "allennlp", "diffusers", "espnet", "fairseq", "fastai", "flair", "gguf", "jax", "joblib", "keras", "nemo",
			"onnx", "open_clip", "peft", "pytorch", "safetensors", "sentence-transformers", "setfit", "sklearn", "spacy", "speechbrain",
			"stable-baselines3", "stanza", "tensorboard", "tf", "tflite", "timm", "transformers", "transformers.js",
		}},
		{"dataset", "dataset:", nil},
		{"language", "", languages},
		{"license", "license:", licenses},
		{"region", "region:", []string{"us", "eu"}},
	},
	Dataset: {
		{"task_categories", "task_categories:", []string{
			"audio-classification", "automatic-speech-recognition", "conversational", "feature-extraction", "fill-mask",
			"image-classification", "image-segmentation", "image-to-text", "multiple-choice", "object-detection", "question-answering",
			"reinforcement-learning", "sentence-similarity", "summarization", "table-question-answering", "tabular-classification",
			"tabular-regression", "text-classification", "text-generation", "text-retrieval", "text-to-image", "text-to-speech",
			"text2text-generation", "time-series-forecasting", "token-classification", "translation", "visual-question-answering",
		}},
		{"task_ids", "task_ids:", []string{
			"extractive-qa", "language-modeling", "masked-language-modeling", "multi-class-classification", "multi-label-classification",
			"named-entity-recognition", "natural-language-inference", "open-domain-qa", "paraphrase", "part-of-speech",
			"semantic-similarity-scoring", "sentiment-classification", "topic-classification",
		}},
		{"language", "language:", languages},
		{"multilinguality", "multilinguality:", []string{"monolingual", "multilingual", "translation", "other-language-learner"}},
		{"size_categories", "size_categories:", []string{
			"n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B", "10B<n<100B", "100B<n<1T", "n>1T",
		}},
		{"language_creators", "language_creators:", []string{"crowdsourced", "expert-generated", "found", "machine-generated", "other"}},
		{"annotations_creators", "annotations_creators:", []string{"crowdsourced", "expert-generated", "found", "machine-generated", "no-annotation"}},
		{"source_datasets", "source_datasets:", []string{"original"}},
		{"license", "license:", licenses},
		{"format", "format:", []string{"arrow", "csv", "json", "parquet", "text", "webdataset"}},
		{"library", "library:", []string{"datasets", "mlcroissant", "pandas", "polars"}},
		{"benchmark", "benchmark:", []string{"official"}},
		{"region", "region:", []string{"us", "eu"}},
	},
}

var (
	languages = []string{
		"ar", "bg", "bn", "ca", "code", "cs", "da", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr", "gl", "gu", "he", "hi", "hr", "hu",
		"id", "is", "it", "ja", "ka", "kk", "ko", "lt", "lv", "mk", "ml", "mr", "ms", "multilingual", "my", "nb", "ne", "nl", "no", "pa", "pl",
		"pt", "ro", "ru", "sk", "sl", "sq", "sr", "sv", "sw", "ta", "te", "th", "tl", "tr", "uk", "ur", "uz", "vi", "yo", "zh", "zu",
	}
	licenses = []string{
		"afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bigscience-bloom-rail-1.0", "bigscience-openrail-m", "bsd", "bsd-2-clause",
		"bsd-3-clause", "bsl-1.0", "c-uda", "cc", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nc-nd-4.0",
		"cc-by-nc-sa-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "creativeml-openrail-m", "ecl-2.0", "epl-2.0", "eupl-1.1", "gemma",
		"gfdl", "gpl", "gpl-2.0", "gpl-3.0", "isc", "lgpl", "lgpl-3.0", "llama2", "llama3", "mit", "mpl-2.0", "ms-pl", "ncsa", "odbl",
		"odc-by", "openrail", "openrail++", "osl-3.0", "other", "pddl", "unknown", "unlicense", "wtfpl", "zlib",
	}
)

// tagsByType answers with all tags of models or of datasets, by their kinds: those that
// are always there, and those that a repository bears which everybody may see.
func (c *call) tagsByType(typ string) error {
	if _, err := c.query(); err != nil {
		return err
	}
	kinds := append(slices.Clone(tagKinds[typ]), tagKind{name: "other"})
	values := make([]map[string]bool, len(kinds))
	for i, k := range kinds {
		values[i] = map[string]bool{}
		for _, v := range k.fixed {
			values[i][v] = true
		}
	}
	everybody := &call{h: c.h}
	err := everybody.visible(typ, nil, func(f *found) {
		for _, tag := range f.tags {
			i := slices.IndexFunc(kinds, func(k tagKind) bool { return k.holds(tag) })
			values[i][strings.TrimPrefix(tag, kinds[i].prefix)] = true
		}
	})
	if err != nil {
		return err
	}
	out := map[string][]map[string]string{}
	for i, k := range kinds {
		list := []map[string]string{}
		for v := range values[i] {
			list = append(list, map[string]string{"id": k.prefix + v, "label": v, "type": k.name})
		}
		slices.SortFunc(list, func(a, b map[string]string) int { return strings.Compare(a["id"], b["id"]) })
		out[k.name] = list
	}
	return c.json(out)
}

// holds tells if a tag is of this kind.
func (k tagKind) holds(tag string) bool {
	if k.prefix != "" {
		return strings.HasPrefix(tag, k.prefix)
	}
	return k.name == "other" || slices.Contains(k.fixed, tag)
}
