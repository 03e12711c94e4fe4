"""What is measured besides WER: functions of a group's summed counts."""
