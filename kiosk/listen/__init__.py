"""The listen process: microphone to detections; it alone imports numpy and TFLite, and nothing it hears outlives 3 s."""
