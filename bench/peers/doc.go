// Peers compares this repository's engine in the browser with jax-js, with TensorFlow.js and with a shader written by
// hand: the product of two matrices, and a training step of a small language model. All get the same inputs, and none is
// timed before its results are right.
//
//	go run ./bench/peers
//
// It needs Chromium and npm, which installs the peers on first use. Times are medians over interleaved rounds: in each
// all contenders take their turn, in a worker of their own, and each waits for its device once a turn. Where a
// contender's time is divided by ours it is by that of the same round. On an adapter that is the CPU, processor time tells
// more than time does where the machine has other work.
package main
