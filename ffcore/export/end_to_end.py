"""A detector as one graph: the photo as it was decoded goes in, faces in pixels come out.

The graph of the network is kept as it is. In front of it the mean is subtracted, behind it follow the
steps of `ffcore.detection.postprocess`, in the same order, as ONNX operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
import onnx.checker
import onnx.compose
import onnx.parser

from ffcore.detection.facts import PREFIX, DetectorFacts
from ffcore.detection.options import DetectorOptions
from ffcore.export.onnx_graph import INPUT_NAME, OUTPUT_NAMES

IMAGE_NAME = "image"
FACE_NAMES = ("boxes", "scores", "landmarks")
"""Of the outputs: (N, 4) xyxy, (N,), (N, 5, 2); float32, pixels, by descending score."""


_PREFIX = "network."


def add_pre_and_postprocessing(network: Path, path: Path, *, options: DetectorOptions) -> None:
    """Writes the end-to-end graph of a network's graph.

    The result takes ``image``, (H, W, 3) uint8 BGR, and gives ``boxes``, ``scores`` and ``landmarks`` of the
    N faces, N from 0 to ``options.max_faces``. Thresholds are fixed in the graph and told in its metadata.

    Args:
        network: As `ffcore.export.export_onnx` writes it, of a fixed size or of any.
        path: The file to write.
        options: Its ``score``, ``nms``, ``candidates`` and ``max_faces`` count.
    """
    core = onnx.load(network)
    entries = {entry.key: entry.value for entry in core.metadata_props}
    facts = DetectorFacts.from_metadata(entries)
    sides = [side.dim_value or name for side, name in zip(_input_sides(core), ("H", "W"), strict=True)]
    # its names apart from ours: "landmarks" means something else on either side
    core = onnx.compose.add_prefix(core, _PREFIX, rename_inputs=True, rename_outputs=True)
    model = onnx.compose.merge_models(
        _parsed(_before(facts, sides), core),
        core,
        io_map=[("planes", _PREFIX + INPUT_NAME)],
        outputs=[*(_PREFIX + name for name in OUTPUT_NAMES), "image_size"],
    )
    model = onnx.compose.merge_models(
        model,
        _parsed(_after(facts, options), core),
        io_map=[*((_PREFIX + name, f"raw_{name}") for name in OUTPUT_NAMES), ("image_size", "size")],
    )
    entries |= {
        f"{PREFIX}score_threshold": repr(options.score),
        f"{PREFIX}nms_threshold": repr(options.nms),
        f"{PREFIX}candidates": str(options.candidates),
        f"{PREFIX}max_faces": str(options.max_faces),
        f"{PREFIX}end_to_end": "true",
    }
    opsets = {entry.domain: entry.version for entry in model.opset_import}  # merging adds those of each part
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(*each) for each in opsets.items())
    onnx.helper.set_model_props(model, entries)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _input_sides(model: onnx.ModelProto) -> Sequence[onnx.TensorShapeProto.Dimension]:
    sides: Sequence[onnx.TensorShapeProto.Dimension] = model.graph.input[0].type.tensor_type.shape.dim[2:]
    return sides


def _parsed(graph: str, like: onnx.ModelProto) -> onnx.ModelProto:
    """A graph from its text, in the versions of another one."""
    opset = next(entry.version for entry in like.opset_import if not entry.domain)
    header = f'<ir_version: {like.ir_version}, opset_import: ["" : {opset}]>'
    model: onnx.ModelProto = onnx.parser.parse_model(header + graph)
    return model


def _before(facts: DetectorFacts, sides: Sequence[int | str]) -> str:
    """From the photo to what the network takes."""
    mean = ", ".join(repr(float(value)) for value in facts.mean)
    height, width = sides
    return f"""
    before (uint8[{height}, {width}, 3] {IMAGE_NAME})
        => (float[1, 3, {height}, {width}] planes, int64[2] image_size)
    <float[3] mean = {{{mean}}}, int64[1] first = {{0}}>
    {{
        image_size = Shape <start = 0, end = 2> ({IMAGE_NAME})
        pixels = Cast <to = 1> ({IMAGE_NAME})
        centred = Sub(pixels, mean)
        channels = Transpose <perm = [2, 0, 1]> (centred)
        planes = Unsqueeze(channels, first)
    }}"""


def _after(facts: DetectorFacts, options: DetectorOptions) -> str:
    """From what the network gives to faces; the centre of a box is coded as its five points are."""
    levels = zip(facts.anchors.strides, facts.anchors.min_sizes, strict=True)
    grids = "".join(_grid(level, stride, sizes) for level, (stride, sizes) in enumerate(levels))
    tables = ", ".join(f"anchors_{level}" for level in range(len(facts.anchors.strides)))
    centre, size = facts.anchors.variances
    return f"""
    after (float[b, a, 4] raw_{OUTPUT_NAMES[0]}, float[b, a, 2] raw_{OUTPUT_NAMES[1]},
           float[b, a, 10] raw_{OUTPUT_NAMES[2]}, int64[2] size)
        => (float[n, 4] boxes, float[n] scores, float[n, 5, 2] landmarks)
    <
        int64 zero = {{0}}, int64 one = {{1}}, int64[1] axis0 = {{0}}, int64[1] axis1 = {{1}},
        int64[1] all = {{-1}},
        int64[1] kept_from = {{2}}, int64[1] kept_to = {{3}},
        int64[2] axis01 = {{0, 1}}, int64[2] halves = {{2, 2}}, float half = {{0.5}},
        int64[3] points = {{-1, 5, 2}}, int64[2] six = {{1, 6}}, int64[2] centre_and_points = {{2, 10}},
        float v_centre = {{{centre!r}}}, float v_size = {{{size!r}}},
        float least = {{{options.score!r}}}, float overlap = {{{options.nms!r}}},
        int64[1] candidates = {{{options.candidates}}}, int64 most = {{{options.max_faces}}},
        float[4] last_pixel = {{0.0, 0.0, 1.0, 1.0}}
    >
    {{
        height = Gather(size, zero)
        width = Gather(size, one)
        {grids}
        table = Concat <axis = 0> ({tables})

        image_boxes = Squeeze(raw_{OUTPUT_NAMES[0]}, axis0)
        image_classes = Squeeze(raw_{OUTPUT_NAMES[1]}, axis0)
        image_landmarks = Squeeze(raw_{OUTPUT_NAMES[2]}, axis0)
        probabilities = Gather <axis = 1> (image_classes, one)
        is_face = Greater(probabilities, least)
        found = NonZero(is_face)
        found_at = Squeeze(found, axis0)
        found_scores = Gather(probabilities, found_at)
        found_count = Shape(found_scores)
        count = Min(found_count, candidates)
        top_scores, top = TopK <axis = 0> (found_scores, count)
        chosen = Gather(found_at, top)

        offsets = Gather(image_boxes, chosen)
        point_offsets = Gather(image_landmarks, chosen)
        anchor = Gather(table, chosen)
        anchor_centre, anchor_size = Split <axis = 1> (anchor, halves)
        centre_offset, size_offset = Split <axis = 1> (offsets, halves)
        size_scaled = Mul(size_offset, v_size)
        ratio = Exp(size_scaled)
        sides = Mul(anchor_size, ratio)
        half_sides = Mul(sides, half)
        six_offsets = Concat <axis = 1> (centre_offset, point_offsets)
        six_scaled = Mul(six_offsets, v_centre)
        six_sizes = Tile(anchor_size, six)
        six_centres = Tile(anchor_centre, six)
        six_shifts = Mul(six_scaled, six_sizes)
        six_points = Add(six_centres, six_shifts)
        centres, points_flat = Split <axis = 1> (six_points, centre_and_points)
        corner = Sub(centres, half_sides)
        opposite = Add(corner, sides)
        decoded = Concat <axis = 1> (corner, opposite)

        closed = Add(decoded, last_pixel)
        nms_boxes = Unsqueeze(closed, axis0)
        nms_scores = Unsqueeze(top_scores, axis01)
        kept = NonMaxSuppression(nms_boxes, nms_scores, most, overlap)
        kept_box = Slice(kept, kept_from, kept_to, axis1)
        rank = Reshape(kept_box, all)

        boxes = Gather(decoded, rank)
        scores = Gather(top_scores, rank)
        kept_points = Gather(points_flat, rank)
        landmarks = Reshape(kept_points, points)
    }}"""


def _grid(level: int, stride: int, sizes: Sequence[int]) -> str:
    """The anchors of one level in pixels, (rows · columns · sizes, 4): centre x, centre y, width, height."""
    i, count = level, len(sizes)
    sides = ", ".join(f"{float(side)!r}, {float(side)!r}" for side in sizes)
    return f"""
        stride_{i} = Constant <value = int64 {{{stride}}}> ()
        rest_{i} = Constant <value = int64 {{{stride - 1}}}> ()
        step_{i} = Constant <value = float {{{float(stride)!r}}}> ()
        sides_{i} = Constant <value = float[1, 1, {count}, 2] {{{sides}}}> ()
        {_centres(i, side="width", cells="columns", named="x")}
        {_centres(i, side="height", cells="rows", named="y")}
        x_shape_{i} = Constant <value = int64[4] {{1, -1, 1, 1}}> ()
        y_shape_{i} = Constant <value = int64[4] {{-1, 1, 1, 1}}> ()
        x4_{i} = Reshape(x_{i}, x_shape_{i})
        y4_{i} = Reshape(y_{i}, y_shape_{i})
        rows_1_{i} = Unsqueeze(rows_{i}, axis0)
        columns_1_{i} = Unsqueeze(columns_{i}, axis0)
        sizes_1_{i} = Constant <value = int64[1] {{{count}}}> ()
        one_1_{i} = Constant <value = int64[1] {{1}}> ()
        two_1_{i} = Constant <value = int64[1] {{2}}> ()
        shape_{i} = Concat <axis = 0> (rows_1_{i}, columns_1_{i}, sizes_1_{i}, one_1_{i})
        shape_2_{i} = Concat <axis = 0> (rows_1_{i}, columns_1_{i}, sizes_1_{i}, two_1_{i})
        xs_{i} = Expand(x4_{i}, shape_{i})
        ys_{i} = Expand(y4_{i}, shape_{i})
        all_sides_{i} = Expand(sides_{i}, shape_2_{i})
        grid_{i} = Concat <axis = 3> (xs_{i}, ys_{i}, all_sides_{i})
        flat_{i} = Constant <value = int64[2] {{-1, 4}}> ()
        anchors_{i} = Reshape(grid_{i}, flat_{i})"""


def _centres(level: int, *, side: str, cells: str, named: str) -> str:
    """Along one side of the image: how many cells a level has, and where their centres are, in pixels."""
    i = level
    return f"""
        whole_{side}_{i} = Add({side}, rest_{i})
        {cells}_{i} = Div(whole_{side}_{i}, stride_{i})
        number_{named}_{i} = Range(zero, {cells}_{i}, one)
        cell_{named}_{i} = Cast <to = 1> (number_{named}_{i})
        middle_{named}_{i} = Add(cell_{named}_{i}, half)
        {named}_{i} = Mul(middle_{named}_{i}, step_{i})"""
