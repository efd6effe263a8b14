"""What users type: the v1alpha1 document, its conditions, reasons, labels and annotations."""
