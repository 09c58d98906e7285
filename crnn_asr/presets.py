"""Recipes by name: sizes of network and training."""

from dataclasses import replace

from crnn_asr.config import AugmentConfig, FeatureConfig, ModelConfig, RunConfig, SpecAugmentConfig, TrainingConfig

_FOUR_STRIDES = ((2, 2), (1, 1), (2, 2), (1, 1))

_AN4 = RunConfig(
    preset="an4",
    # Each of these was chosen on AN4 dev: see docs/log.md.
    features=FeatureConfig(hop_ms=6.0),  # with a time reduction of 4, a logit frame every 24 ms
    model=ModelConfig(conv_filters=(32, 64, 64, 64), conv_strides=((2, 2), (2, 2), (1, 2), (1, 1)), dropout=0.4),
    augment=AugmentConfig(
        noise_probability=0.08,
        noise_snr_db=(0.0, 30.0),
        noise_file_probability=0.45,
        noise_file_snr_db=(-5.0, 15.0),
        reverb_probability=0.4,
        reverb_decay_s=(0.15, 0.8),
        reverb_direct_db=(-15.0, 5.0),
        speed_probability=0.8,
        speed_rate=(0.85, 1.15),
    ),
    spec_augment=SpecAugmentConfig(max_frequency_bins=27, num_time_masks=3, max_time_frames=67),
    training=TrainingConfig(
        epochs=140,
        weight_decay=0.05,
        augment_ramp_share=0.5,
        batch_frames=10_000,
        max_batch_utterances=16,
        inner_loss_weight=0.3,
        average_steps=300,
        keep="last",
    ),
)

PRESETS: dict[str, RunConfig] = {
    "tiny": RunConfig(
        preset="tiny",
        model=ModelConfig(conv_filters=(16, 24), projection_units=96, lstm_layers=2, lstm_units=96, dropout=0.15),
        # A small network on an hour of speech: mild augmentation, but for speed, which makes new voices.
        augment=AugmentConfig(
            noise_probability=0.1,
            reverb_probability=0.1,
            stretch_probability=0.0,
            speed_probability=0.6,
            speed_rate=(0.85, 1.12),
            band_stop_probability=0.05,
            gain_probability=0.1,
        ),
        spec_augment=SpecAugmentConfig(
            num_frequency_masks=1, max_frequency_bins=15, num_time_masks=1, max_time_frames=15
        ),
        training=TrainingConfig(
            epochs=40, max_batch_utterances=20, optimizer="muon", learning_rate=4e-3, warmup_steps=100
        ),
    ),
    "an4": _AN4,
    "clean": replace(
        _AN4,
        preset="clean",
        augment=replace(_AN4.augment, noise_probability=0.0, noise_file_probability=0.0, reverb_probability=0.0),
        training=replace(_AN4.training, augment_ramp_share=0.1),
    ),
    "words": replace(
        _AN4,
        preset="words",
        # Recordings of a word or two: a spectrum's shape is kept, soft consonants are too, and a logit frame is 16 ms.
        features=FeatureConfig(hop_ms=8.0, shrinkage_frames=100.0, log_floor=1e-8),
        model=replace(_AN4.model, conv_strides=((2, 2), (1, 2), (1, 2), (1, 1))),
        # Few speakers become many by speed and stretch, few microphones by gain and response; soft ends may be cut off.
        augment=replace(
            _AN4.augment,
            noise_probability=0.12,
            noise_file_probability=0.25,
            noise_file_snr_db=(5.0, 30.0),
            reverb_probability=0.3,
            speed_rate=(0.8, 1.25),
            stretch_probability=0.5,
            stretch_rate=(0.8, 1.25),
            trim_probability=0.7,
            gain_probability=0.5,
            gain_db=(-20.0, 10.0),
            equalizer_probability=0.7,
        ),
        spec_augment=replace(_AN4.spec_augment, max_time_frames=40),
        training=replace(_AN4.training, epochs=25, batch_frames=6_000, augment_ramp_share=0.2, keep="best"),
    ),
    "base": RunConfig(
        preset="base",
        model=ModelConfig(
            conv_filters=(32, 32, 64, 64),
            conv_strides=_FOUR_STRIDES,
            projection_units=288,
            lstm_layers=4,
            lstm_units=288,
        ),
        training=TrainingConfig(epochs=60, batch_frames=16_000, learning_rate=1e-3, warmup_steps=1_000),
    ),
    "librispeech": RunConfig(
        preset="librispeech",
        model=ModelConfig(
            conv_filters=(32, 32, 64, 64),
            conv_strides=_FOUR_STRIDES,
            projection_units=384,
            lstm_layers=5,
            lstm_units=384,
        ),
        training=TrainingConfig(epochs=40, batch_frames=32_000, learning_rate=8e-4, warmup_steps=4_000),
    ),
}
