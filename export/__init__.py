"""The edge half: trained net -> .tflite files that are proven to agree with it, and the script that times them."""
