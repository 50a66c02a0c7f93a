"""``featherface eval-widerface``."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from ffcli.exit_codes import INPUT
from ffcli.messages import error_line, note_if_shipped
from ffcli.options import AsJson, Device, Threads, parse_size


def eval_widerface(
    ground_truth: Annotated[
        Path,
        typer.Option("--ground-truth", "-g", help="Folder of the .mat files, a COCO .json, or YOLO labels."),
    ],
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="Folder with the photos, event/name.jpg.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Weights (.onnx, .pth, .safetensors) to measure.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", help="Only score this folder of event/name.txt.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="File that lists the images to evaluate, one a line.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="Image sizes and merging: original, vga, 1600, multiscale.")
    ] = "original",
    score: Annotated[
        float | None, typer.Option(min=0, max=1, help="Override the score cut-off of the protocol.")
    ] = None,
    nms: Annotated[float | None, typer.Option(min=0, max=1, help="Override its NMS threshold.")] = None,
    max_faces: Annotated[int | None, typer.Option(min=1, help="Override how many boxes are kept.")] = None,
    size: Annotated[
        str | None, typer.Option(help="Override its sizes: fit into 640, or HEIGHTxWIDTH.")
    ] = None,
    save_predictions: Annotated[
        Path | None,
        typer.Option(help="Keep the prediction files here; the same command later goes on where it stopped."),
    ] = None,
    missing_as_empty: Annotated[
        bool, typer.Option("--missing-as-empty", help="Count images without predictions as empty.")
    ] = False,
    against: Annotated[
        Path | None, typer.Option(help="A result (JSON) to compare with; see --max-drop.")
    ] = None,
    max_drop: Annotated[
        float, typer.Option(min=0, help="Exit with 3 when an AP is more points below --against.")
    ] = 0.5,
    mistakes: Annotated[
        bool,
        typer.Option("--mistakes", help="Also say which kinds of mistake there are and what AP each costs."),
    ] = False,
    plots: Annotated[
        Path | None, typer.Option(help="Draw curves, AP by height and event, and the worst images here.")
    ] = None,
    compare: Annotated[
        list[Path] | None, typer.Option(help="A result (JSON of --out) to draw over the curves. Repeat it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the result as JSON, curves included.")
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")] = False,
) -> None:
    """Score faces by the WIDER FACE protocol: AP on Easy, Medium and Hard.

    With --predictions it scores files of any detector; with --data and --model it predicts first. Start
    it with torchrun to share the photos among processes.

    Example: featherface eval-widerface --ground-truth gt --predictions pred --images list.txt
    """
    from ffcli.render import ProgressLine, print_evaluation, print_mistakes
    from ffcli.requirements import require
    from ffcore.distributed import processes
    from ffcore.errors import ConfigError, MissingPredictionsError

    if plots is not None:
        require("matplotlib", "--plots")
    from ffcore.evaluation.any_ground_truth import read_ground_truth
    from ffcore.evaluation.ground_truth import read_image_list
    from ffcore.evaluation.job import Evaluation, evaluate_detector, score_folder, write_evaluation
    from ffcore.evaluation.protocols import protocol as named_protocol
    from ffcore.evaluation.report import write_report
    from ffcore.evaluation.result import ap_drops, read_result

    if predictions is None and (data is None or model is None):
        raise ConfigError("give --predictions, or --data and --model")
    if predictions is not None and model is not None:
        raise ConfigError("--predictions are scored as they are; leave out --model")
    changes: dict[str, Any] = {"score": score, "nms": nms, "max_faces": max_faces}
    changes = {name: value for name, value in changes.items() if value is not None}
    if size is not None:
        changes["size"] = parse_size(size)
    conditions = named_protocol(protocol, **changes)
    earlier = read_result(against) if against is not None else None
    others = {path.stem: read_result(path) for path in compare or []}
    label = Path(model).stem if model else predictions.name if predictions else ""
    truth = read_ground_truth(ground_truth, data=data, official=images is None)
    if images is not None:
        truth = truth.only(read_image_list(images))

    evaluation: Evaluation
    with ExitStack() as stack:
        group = stack.enter_context(processes())
        if predictions is not None:
            try:
                evaluation = score_folder(
                    predictions, truth, missing="empty" if missing_as_empty else "refuse"
                )
            except MissingPredictionsError as error:
                if as_json:  # the message names the first of them, a program wants all
                    typer.echo(json.dumps({"complete": False, "missing": list(error.missing)}))
                raise
        else:
            assert data is not None
            assert model is not None
            if save_predictions is None and group.count > 1:
                raise ConfigError("several processes need a common place: give --save-predictions")
            folder = save_predictions or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            report = stack.enter_context(ProgressLine(show=not quiet and group.first))
            if not quiet and group.first:
                note_if_shipped(model)
            evaluation = evaluate_detector(
                model,
                conditions,
                data=data,
                ground_truth=truth,
                folder=folder,
                device=device,
                threads=threads,
                processes=group,
                on_event=report.on_event,
            )
        if not group.first:
            return
    drops = {} if earlier is None else ap_drops(evaluation.result, earlier)
    if out is not None:
        write_evaluation(out, evaluation, with_mistakes=mistakes)
    if plots is not None:
        write_report(plots, evaluation, label=label, others=others, data=data)
    if as_json:
        typer.echo(json.dumps(evaluation.to_dict(with_mistakes=mistakes), indent=1, allow_nan=False))
    else:
        print_evaluation(evaluation, earlier)
        if mistakes:
            print_mistakes(evaluation.mistakes)
    fell = {name: points for name, points in drops.items() if points > max_drop}
    for name, points in fell.items():
        error_line(f"{name}: the AP fell by {points:.2f} points, more than {max_drop:g}")
    if fell or not evaluation.result.complete:
        raise typer.Exit(INPUT)
