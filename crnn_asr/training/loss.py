"""CTC (Graves et al. 2006) with true lengths, through TensorFlow's sparse kernel, many times faster than the dense; and
how far two views of an utterance are apart.
"""

from typing import Any

import tensorflow as tf

Tensor = Any


def ctc_loss(logits: Tensor, logit_lengths: Tensor, labels: Tensor, label_lengths: Tensor) -> Tensor:
    """Negative log-likelihood of each utterance in nats.

    Args:
        logits: (B, T, V) float32, the blank last.
        logit_lengths: (B,) int32, each at least `text.alphabet.min_frames` of its labels.
        labels: (B, U) int32, padded with anything.
        label_lengths: (B,) int32.

    Returns:
        (B,) float32.
    """
    mask = tf.sequence_mask(label_lengths, tf.shape(labels)[1])
    indices = tf.where(mask)
    sparse = tf.SparseTensor(indices, tf.gather_nd(labels, indices), tf.shape(labels, tf.int64))
    return tf.nn.ctc_loss(
        sparse, logits, None, logit_lengths, logits_time_major=False, blank_index=logits.shape[-1] - 1
    )


def disagreement(logits: Tensor, logit_lengths: Tensor) -> Tensor:
    """How far each view of an utterance is from what the other says, in nats: the sum over frames of KL(other ‖ own).

    The other counts as a target: no gradient goes to it. This is the consistency regularisation of CR-CTC (Yao et al.
    2025), which sums the same two terms for each pair.

    Args:
        logits: (B, T, V) float32; rows 2i and 2i + 1 are views of one utterance.
        logit_lengths: (B,) int32, the same for both.

    Returns:
        (B,) float32.
    """
    own = tf.nn.log_softmax(logits)
    frames, symbols = tf.shape(logits)[1], logits.shape[-1]
    other = tf.reshape(tf.reverse(tf.reshape(own, (-1, 2, frames, symbols)), [1]), (-1, frames, symbols))
    other = tf.stop_gradient(other)
    divergence = tf.reduce_sum(tf.exp(other) * (other - own), -1)
    return tf.reduce_sum(divergence * tf.sequence_mask(logit_lengths, frames, tf.float32), -1)
