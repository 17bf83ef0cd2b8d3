//! `--navigator`: a layer that ATT&CK Navigator reads.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{capture, common::json_lines, dnsterrier, out, stderr};

/// The format 4.5 as the Navigator's repository describes it (layers/LAYERFORMATv4_5.md): what is required, the types, and no
/// name that it does not know.
fn schema() -> Value {
    let text = json!({ "type": "string" });
    let flag = json!({ "type": "boolean" });
    let colour = json!({ "type": "string", "pattern": "^#[0-9a-fA-F]{6}$" });
    let metadata = json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": { "name": text, "value": text },
            "required": ["name", "value"],
            "additionalProperties": false,
        },
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["name", "domain", "versions"],
        "additionalProperties": false,
        "properties": {
            "name": text,
            "description": text,
            "domain": { "enum": ["enterprise-attack", "mobile-attack", "ics-attack"] },
            "versions": {
                "type": "object",
                "required": ["navigator", "layer"],
                "additionalProperties": false,
                "properties": {
                    "attack": text,
                    "navigator": { "type": "string", "pattern": "^(4\\.9|[5-9]\\.[0-9]+)\\.[0-9]+$" },
                    "layer": { "const": "4.5" },
                },
            },
            "sorting": { "enum": [0, 1, 2, 3] },
            "layout": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "layout": { "enum": ["side", "flat", "mini"] },
                    "showID": flag,
                    "showName": flag,
                    "showAggregateScores": flag,
                    "countUnscored": flag,
                    "aggregateFunction": { "enum": ["average", "min", "max", "sum"] },
                    "expandedSubtechniques": { "enum": ["none", "all", "annotated"] },
                },
            },
            "hideDisabled": flag,
            "techniques": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["techniqueID"],
                    "additionalProperties": false,
                    "properties": {
                        "techniqueID": { "type": "string", "pattern": "^T[0-9]{4}(\\.[0-9]{3})?$" },
                        "tactic": text,
                        "comment": text,
                        "enabled": flag,
                        "score": { "type": "number" },
                        "color": colour,
                        "metadata": metadata,
                        "showSubtechniques": flag,
                    },
                },
            },
            "gradient": {
                "type": "object",
                "required": ["colors", "minValue", "maxValue"],
                "additionalProperties": false,
                "properties": {
                    "colors": { "type": "array", "items": colour, "minItems": 2 },
                    "minValue": { "type": "number" },
                    "maxValue": { "type": "number" },
                },
            },
            "metadata": metadata,
        },
    })
}

/// The layer of a run, as the format has it.
fn layer(path: &str, more: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("layer.json");
    let arguments = [
        path,
        "-q",
        "--rows",
        "none",
        "--navigator",
        file.to_str().unwrap(),
    ];
    out(&[&arguments, more].concat());
    let layer: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&layer)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{layer:#}");
    let gradient = &layer["gradient"];
    assert!(gradient["maxValue"].as_f64() > gradient["minValue"].as_f64());
    layer
}

/// The scores are the hits, counted another way: in the stream of hits, with the techniques that `rules show` prints.
#[test]
fn techniques_are_scored_by_hits() {
    let path = capture("ngrok.pcap");
    let mut expected = BTreeMap::<String, u64>::new();
    for hit in json_lines(&out(&[&path, "-q", "--rows", "none", "--hits", "-"])) {
        let rule = out(&["rules", "show", hit["rule"].as_str().unwrap()]);
        let attack = rule
            .lines()
            .find_map(|line| line.strip_prefix("attack: ["))
            .unwrap();
        for technique in attack.trim_end_matches(']').split(", ") {
            *expected.entry(technique.to_owned()).or_default() += 1;
        }
    }
    assert!(expected.len() > 3);
    let layer = layer(&path, &[]);
    let techniques = layer["techniques"].as_array().unwrap();
    let found: BTreeMap<String, u64> = techniques
        .iter()
        .map(|it| {
            (
                it["techniqueID"].as_str().unwrap().to_owned(),
                it["score"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, expected);
    assert_eq!(techniques.len(), expected.len());
    let visited = techniques
        .iter()
        .find(|it| it["techniqueID"] == "T1567")
        .unwrap();
    assert_eq!(visited["comment"], "Somebody visits an ngrok tunnel");
}

#[test]
fn a_run_without_hits_has_a_layer_too() {
    let layer = layer(&capture("ngrok.pcap"), &["--name", "nothing.example"]);
    assert_eq!(layer["techniques"], json!([]));
}

#[test]
fn places_that_cannot_be_are_refused_before_the_run() {
    let path = capture("ngrok.pcap");
    for (place, status, words) in [
        ("-", 2, "--navigator - is no file name"),
        ("/", 2, "--navigator / is a directory"),
        (
            "/nonexistent/layer.json",
            1,
            "cannot write the layer to /nonexistent/layer.json: there is no such folder",
        ),
    ] {
        let output = dnsterrier([&path, "--navigator", place]);
        assert_eq!(output.status.code(), Some(status), "{place}");
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
    let output = dnsterrier([&path, "--stats", "one.json", "--navigator", "one.json"]);
    assert_eq!(output.status.code(), Some(2));
}

/// Where nothing could be read, the layer of the run before stays.
#[test]
fn a_run_that_read_nothing_leaves_the_layer() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, layer) = (
        folder.path().join("empty.pcap"),
        folder.path().join("layer.json"),
    );
    std::fs::write(&empty, b"").unwrap();
    std::fs::write(&layer, b"before").unwrap();
    let output = dnsterrier([
        empty.to_str().unwrap(),
        "--navigator",
        layer.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read(&layer).unwrap(), b"before");
}
