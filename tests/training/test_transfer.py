"""Runs that start from another model's weights: what is kept, what stays fixed, what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from crnn_asr.config import FeatureConfig, ModelConfig, RunConfig, TrainingConfig, TransferConfig
from crnn_asr.errors import ModelError
from crnn_asr.presets import PRESETS
from crnn_asr.strict_json import save_config
from crnn_asr.training.batches import pad_batch
from crnn_asr.training.checkpoint import Progress, save_checkpoint
from crnn_asr.training.events import EpochDone, Stopped
from crnn_asr.training.keras_file import save_keras
from crnn_asr.training.loop import Trainer
from crnn_asr.training.loss import ctc_loss
from crnn_asr.training.model import CRNN
from crnn_asr.training.optimizers import make_optimizer
from crnn_asr.training.run import RunDirectory
from crnn_asr.training.setup import prepare
from crnn_asr.training.step import make_accumulating_step, make_train_step
from crnn_asr.training.transfer import compare, layer_sizes

MODEL = ModelConfig(conv_filters=(4, 5), projection_units=16, lstm_layers=2, lstm_units=12, dropout=0.2, num_symbols=4)
THEIRS = ("c", "x", "a")  # the corpus has " abc"
SHARED = {1: 2, 3: 0, 4: 3}  # of " abc" and the blank, where they are in "cxa" and the blank
TRAINING = TrainingConfig(epochs=2, batch_frames=700, warmup_steps=4, seed=5, precision="float32")


def random_values(model: CRNN, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = rng.normal(0, 0.3, weight.shape)
        weight.assign(np.abs(value) + 0.5 if weight.name in ("variance", "gamma") else value)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> RunDirectory:
    """A run with random weights, as directory and as `model.keras`."""
    run = RunDirectory(tmp_path_factory.mktemp("source"))
    config = replace(PRESETS["tiny"], model=MODEL, alphabet=THEIRS)
    model = CRNN(MODEL)
    random_values(model, 1)
    save_config(config, run.config)
    save_checkpoint(run.best, model.weights, Progress())
    save_keras(run.keras_model, config, model.export_weights())
    return run


@pytest.fixture
def trainer(tone_corpus: Path, tmp_path: Path):
    """A function that makes a run in a folder of a name."""

    def make(name: str, transfer: TransferConfig, model: ModelConfig = MODEL, **changes: object) -> Trainer:
        config = replace(
            PRESETS["tiny"],
            model=model,
            training=replace(TRAINING, **changes),
            train_manifests=(str(tone_corpus / "train.jsonl"),),
            dev_manifest=str(tone_corpus / "dev.jsonl"),
            transfer=transfer,
        )
        run = RunDirectory(tmp_path / name)
        if run.exists():
            config = run.load_config()
        setup = prepare(config, "auto")
        run.root.mkdir(exist_ok=True)
        save_config(setup.config, run.config)
        return Trainer(run, setup.config, setup.train, setup.dev)

    return make


def values(trainer: Trainer) -> dict[str, np.ndarray]:
    return trainer.model.export_weights()


def start(trainer: Trainer) -> Trainer:
    """Up to the first step, which is of rate 0 and changes statistics alone."""
    trainer.learner.train_step = lambda *_: (tf.zeros(3), tf.constant(0.0))
    next(trainer.events())
    return trainer


def layer_of(name: str) -> str:
    return name.partition(".")[0].replace("norm", "lstm")


def test_sizes_tell_which_layers_fit():
    """Against the shapes of the true weights."""
    others = [
        replace(MODEL, conv_filters=(4, 6)),
        replace(MODEL, num_mels=40),
        replace(MODEL, conv_filters=(4, 5, 5), conv_strides=((2, 2), (2, 2), (1, 1))),
        replace(MODEL, projection_units=17),
        replace(MODEL, lstm_layers=3),
        replace(MODEL, lstm_units=13),
        replace(MODEL, dropout=0.0),
    ]
    ours = CRNN(MODEL).export_weights()
    for config in others:
        theirs = CRNN(config).export_weights()
        differ = {layer_of(name) for name in ours if theirs.get(name, np.zeros(0)).shape != ours[name].shape}
        assert set(MODEL.layers) == set(layer_sizes(MODEL))
        assert differ == {n for n, size in layer_sizes(MODEL).items() if layer_sizes(config).get(n) != size}, config


@pytest.mark.parametrize("form", ["directory", "keras"])
def test_what_fits_is_kept_and_the_output_by_symbols(source, trainer, form):
    path = source.root if form == "directory" else source.keras_model
    model = CRNN(MODEL)
    random_values(model, 1)
    trained, drawn = model.export_weights(), values(trainer("nothing", TransferConfig()))
    found = values(start(trainer("run", TransferConfig(str(path)))))
    for name, value in found.items():
        if layer_of(name) != "output":
            np.testing.assert_array_equal(value, trained[name], err_msg=name)
    for part in ("kernel", "bias"):
        for symbol in range(5):
            origin = trained if symbol in SHARED else drawn
            expected = origin[f"output.{part}"][..., SHARED.get(symbol, symbol)]
            np.testing.assert_array_equal(found[f"output.{part}"][..., symbol], expected)


def test_what_does_not_fit_is_drawn_as_always(source, trainer):
    model = replace(MODEL, conv_filters=(4, 6), lstm_layers=3)
    transfer = TransferConfig(str(source.root))
    drawn, found = values(trainer("nothing", TransferConfig(), model)), values(start(trainer("run", transfer, model)))
    kept = {layer_of(name) for name in found if layer_of(name) != "output" and (found[name] != drawn[name]).any()}
    assert kept == {"conv0", "lstm0", "lstm1"}
    config = RunConfig(model=model, alphabet=tuple(" abc"))
    sentence = str(compare(replace(config, model=MODEL, alphabet=THEIRS), config))
    assert sentence == (
        "kept conv0, lstm0, lstm1, the outputs of 2 of 4 symbols and of the blank; "
        "drawn anew: conv1, projection, lstm2, the outputs of ' ' 'b'"
    )


@pytest.mark.parametrize(
    ("freeze", "changes"),
    [
        (4, {"accumulate_batches": 2, "average_steps": 3, "inner_loss_weight": 0.3}),
        *(pytest.param(freeze, {}, marks=pytest.mark.slow) for freeze in range(1, 6)),
    ],
)
def test_frozen_layers_are_equal_to_the_bit_and_all_others_move(source, trainer, freeze, changes):
    run = trainer("run", TransferConfig(str(source.root), freeze=freeze), weight_decay=0.5, **changes)
    before = values(start(trainer("start", TransferConfig(str(source.root)))))
    assert isinstance(list(run.events())[-1], EpochDone)
    frozen = set(MODEL.layers[:freeze])
    for model in (run.model, run.dev.model):
        for name, value in model.export_weights().items():
            assert np.array_equal(value, before[name]) == (layer_of(name) in frozen), name


def test_stopped_and_resumed_equals_uninterrupted(source, trainer):
    transfer = TransferConfig(str(source.root), freeze=2)
    whole = trainer("whole", transfer)
    list(whole.events())
    for stop in (0, 3):  # 0: ended before there was a checkpoint
        part = trainer("part", transfer)
        part.resume()
        if stop:
            assert isinstance(list(part.events(lambda: part.progress.step >= stop))[-1], Stopped)  # noqa: B023
    last = trainer("part", transfer)
    last.resume()
    list(last.events())
    assert last.config.transfer == whole.config.transfer and len(last.config.transfer.sha256) == 64
    for one, other in zip(last.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def batch(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    features = [rng.standard_normal((frames, 80)).astype(np.float32) for frames in (40, 57, 23)]
    return pad_batch(features, [[0, 1], [2], [1, 0]], 80)


def test_the_gradient_is_that_of_the_whole_network_less_what_is_frozen(rng):
    """Frozen batch norms use running statistics; the oracle is a plain tape over everything."""
    model = CRNN(replace(MODEL, dropout=0.0), frozen=3)
    random_values(model, 2)
    features, lengths, labels, label_lengths = batch(rng)
    names = {id(variable): name for name, variable in model.named_weights().items()}
    trained = [names[id(variable)] for variable in model.trainable_variables]
    assert {layer_of(name) for name in trained} == {"lstm0", "lstm1", "output"}
    with tf.GradientTape() as tape:
        logits = model((features, lengths), training=False)  # no batch norm is left to train
        loss = tf.reduce_sum(ctc_loss(logits, MODEL.output_length(lengths), labels, label_lengths)) / 3
    variables = [variable.value for variable in model.trainable_variables]
    expected = np.sqrt(sum(float(tf.reduce_sum(gradient**2)) for gradient in tape.gradient(loss, variables)))
    training = TrainingConfig(clip_norm=1e9)
    totals, norm = make_train_step(model, make_optimizer(training, model), training)(
        features, lengths, labels, label_lengths, tf.constant([0, 0]), 0.0
    )
    assert float(totals[0]) == pytest.approx(3 * float(loss), rel=1e-5)
    assert float(norm) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("frozen", "make"),
    [(1, make_train_step), *(pytest.param(n, make_accumulating_step, marks=pytest.mark.slow) for n in range(4))],
)
def test_nothing_is_computed_for_what_is_frozen(frozen, make):
    """Gradients of convolutions' kernels are in the step's graph for those that are trained alone."""
    model = CRNN(MODEL, frozen=frozen)
    made = make(model, make_optimizer(TRAINING, model), TRAINING)
    step = made if callable(made) else made[1]
    kinds = [node.type for node in step.get_concrete_function().graph.get_operations()]
    assert kinds.count("Conv2DBackpropFilter") == max(0, 2 - frozen)
    assert kinds.count("ReluGrad") == max(0, 3 - frozen)


def test_dropout_is_off_in_front_of_frozen_layers(rng):
    """With all frozen, the one before the output is left: logits change, what goes into it does not."""
    model = CRNN(MODEL, frozen=5)
    random_values(model, 3)
    features, lengths, *_ = batch(rng)
    expected = model((features, lengths), training=False)
    model.settings = replace(MODEL, dropout=0.0)
    np.testing.assert_array_equal(model((features, lengths), training=True, seed=tf.constant([1, 2])), expected)
    model.settings = MODEL
    seen = []
    model.output_layer.call = lambda x, **_: seen.append(x) or x
    model((features, lengths), training=True, seed=tf.constant([1, 2]))
    model((features, lengths), training=False)
    dropped, whole = (x.numpy() for x in seen)
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], whole[kept] * 256 / (256 - round(0.2 * 256)), rtol=1e-5)
    assert 0.7 < kept.mean() < 0.9


def test_models_that_do_not_fit_are_sentences(source, trainer, tmp_path):
    def refused(words: str, transfer: TransferConfig, **changes: object) -> None:
        with pytest.raises(ModelError, match=words):
            trainer("run", transfer, **changes)

    root = str(source.root)
    refused("not one layer has the sizes", TransferConfig(root), model=ModelConfig(conv_filters=(7, 7), lstm_units=9))
    refused(
        r"its conv1 does not fit .* freeze 1 layers at most",
        TransferConfig(root, freeze=2),
        model=replace(MODEL, conv_filters=(4, 6)),
    )
    for name in ("model.int8.tflite", "model.onnx"):
        refused("file for recognition", TransferConfig(str(tmp_path / name)))
    (tmp_path / "other.keras").write_text("no zip")
    refused("expected a model.keras that train.py wrote", TransferConfig(str(tmp_path / "other.keras")))
    empty = RunDirectory(tmp_path / "empty")
    empty.root.mkdir()
    other = replace(PRESETS["tiny"], features=FeatureConfig(low_hz=50.0), model=MODEL, alphabet=THEIRS)
    save_config(other, empty.config)
    theirs = TransferConfig(str(empty.root))
    refused(r"features of this run \(low_hz 20.0\), got a model of others \(low_hz 50.0\)", theirs)
    save_config(replace(other, features=FeatureConfig()), empty.config)
    refused("no best checkpoint yet", theirs)
    with pytest.raises(
        ModelError, match=r"5 layers that can be frozen \(conv0, conv1, projection, lstm0, lstm1\), got 6"
    ):
        RunConfig(model=MODEL, transfer=TransferConfig(root, freeze=6))
    with pytest.raises(ModelError, match="of a model that is named"):
        TransferConfig(freeze=1)
    with pytest.raises(FileNotFoundError):
        trainer("run", TransferConfig(str(tmp_path / "nowhere")))


def test_a_model_that_changed_before_the_first_step_is_refused(source, trainer, tmp_path):
    copy = tmp_path / "copy.keras"
    copy.write_bytes(source.keras_model.read_bytes())
    run = trainer("run", TransferConfig(str(copy)))
    copy.write_bytes(source.keras_model.read_bytes() + b"\0")
    with pytest.raises(ModelError, match=r"copy\.keras has changed since"):
        next(run.events())
