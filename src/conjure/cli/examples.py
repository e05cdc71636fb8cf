"""A line to type for each command, on files that ship where it can be: for its help and page."""

EXAMPLES = {
    "compare": 'conjure compare "a red car" "a blue car" --figure cars.png',
    "pairs": "conjure pairs docs/examples/pairs.csv --tolerance 0.1 --table distances.csv",
    "matrix": "conjure matrix docs/examples/animals.csv -T 10 -k 2 --figure animals.png",
    "embed": "conjure embed docs/examples/captions.jsonl --save captions.safetensors",
    "nearest": 'conjure nearest "a sleeping cat" --in captions.safetensors --rerank 5',
    "processes": "conjure processes docs/examples/animals.csv --vary guidance=1,3 -T 10 -k 2",
    "drift": "conjure drift docs/examples/animals.csv --change guidance=3 -T 10 -k 4",
    "scale": "conjure scale --guidance 3 -k 4",
    "evaluate": "conjure evaluate --data DIR --tasks STS-B --limit 200 -T 10 --out evaluation",
    "report": "conjure report evaluation",
    "data": "conjure data ~/Downloads --to DIR",
    "status": "conjure status evaluation",
}
