//! Any bytes as a decompressed 1.0 request: no panic, the same when read again, and where prost reads it too,
//! the same samples and native histograms; what is made of each two of these in a row is a number, or nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use sidelong::batch::{Batch, LabelSource, NativeHistogram};
use sidelong::signals::Native;
use sidelong::wire::generated::prometheus::WriteRequest;
use sidelong::wire::remote_write::{ElementLimits, Walked, receive, v1};

fuzz_target!(|raw: &[u8]| {
    let (limits, mut batch, mut walked) = (ElementLimits::default(), Batch::default(), Walked::default());
    batch.histograms.wanted = true;
    if v1::decode(raw, 7, &limits, Some(&mut walked), &mut batch).is_ok() {
        let once = std::mem::take(&mut batch);
        v1::decode(raw, 7, &limits, Some(&mut walked), &mut batch).expect("the same bytes read again");
        assert_eq!((once.series, once.samples), (batch.series.clone(), batch.samples.clone()));
        for span in &batch.series {
            v1::Labels { raw }.for_each_label(&span.labels, &mut |_, _| ());
        }
        let mut read = NativeHistogram::default();
        let sums = once.histograms.messages.iter().map(|at| {
            let read_it = v1::Labels { raw }.read_histogram(at, 100, &mut read);
            read_it.is_ok().then_some((read.timestamp_ms, read.sum.to_bits()))
        });
        let sums: Vec<_> = sums.collect();
        // What the corridor makes of two in a row.
        let (native, mut before) = (Native::new(Vec::new(), true, true, Some(0.99)), None);
        for at in &once.histograms.messages {
            let mut now = NativeHistogram::default();
            let read_it = v1::Labels { raw }.read_histogram(at, 100, &mut now);
            if read_it.is_ok() {
                let made = before.as_ref().map(|before| native.between(before, &now));
                assert!(made.into_iter().flatten().flatten().all(f64::is_finite));
                before = Some(now);
            }
        }
        if let Ok(request) = WriteRequest::decode(raw) {
            let histograms = request.timeseries.iter().flat_map(|series| &series.histograms);
            let histograms: Vec<_> = histograms.map(|one| (one.timestamp, one.sum.to_bits())).collect();
            assert_eq!(sums.len(), histograms.len());
            assert!(sums.iter().zip(histograms).all(|(got, wanted)| got.is_none_or(|got| got == wanted)));
            let samples = request.timeseries.iter().flat_map(|series| &series.samples);
            let wanted: Vec<_> = samples.map(|sample| (sample.timestamp, sample.value.to_bits())).collect();
            let got = batch.samples.iter().map(|sample| (sample.timestamp_ms, sample.value.to_bits()));
            assert!(got.eq(wanted));
        }
    }
    if let Ok(receipt) = receive::v1(raw, 7, &limits, i64::MAX, &mut batch) {
        assert_eq!(receipt.reason().is_none(), receipt.is_complete());
    }
});
