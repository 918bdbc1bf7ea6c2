//! Synthetic metrics with labelled anomalies: the exporter, the data set, the demo.
