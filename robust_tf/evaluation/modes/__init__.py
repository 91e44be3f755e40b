"""The modes of bin/evaluate, one in each file; `robust_tf.evaluation` says what a file must hold."""
